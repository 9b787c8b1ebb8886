"""Run where the extra `[io]` and moto's server are installed: pytest tests/extras/test_s3.py."""

import os
import subprocess
import sys
import textwrap

import pytest
from moto.server import ThreadedMotoServer

from physiokeras.pipelines import convert
from physiokeras.pipelines.simulation.simulator import simulate

READER = """
    import os, sys
    import numpy as np
    from physiokeras.errors import DataError
    from physiokeras.pipelines import Manifest, damage_named, stream, verify, windows

    remote, here = "s3://bucket/prepared", sys.argv[1]
    assert Manifest.read(remote).data_hash == Manifest.read(here).data_hash
    there, ours = (windows(folder, labels=["stage"]) for folder in (remote, here))
    assert there.keys() == ours.keys()
    assert all(np.array_equal(there[name], ours[name]) for name in ours)
    one, two = (next(iter(stream(folder, "train", batch_size=4, seed=3)))[0] for folder in (remote, here))
    assert all(np.array_equal(one[name], two[name]) for name in two)
    print("windows", verify(remote))
    for folder, words in ((f"{remote}-cut", "the shard has"), (f"{remote}-nowhere", "no manifest.json")):
        try:
            stream(folder, "train", batch_size=4)
        except DataError as error:
            print(words in str(error) or error)
    print("the end", flush=True)
    # An interpreter that used s3:// aborts at its exit, its work done.
    os._exit(0)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    source = simulate(folder / "source", 4, hours=0.1, seed=4, progress=False)
    return convert(source, "simulated", folder / "out", progress=None)


def test_a_prepared_set_is_read_from_a_real_server_as_from_disk(prepared, monkeypatch):
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    for path in prepared.folder.rglob("*.*"):
        name = path.relative_to(prepared.folder).as_posix()
        client.put_object(Bucket="bucket", Key=f"prepared/{name}", Body=path.read_bytes())
        cut = path.read_bytes()[:-1] if name.endswith(".tfrecord") else path.read_bytes()
        client.put_object(Bucket="bucket", Key=f"prepared-cut/{name}", Body=cut)
    environment = {**os.environ, "S3_ENDPOINT": f"http://{host}:{port}"}
    command = [sys.executable, "-c", textwrap.dedent(READER), str(prepared.folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    server.stop()
    windows = sum(record.windows for record in prepared.records)
    assert done.stdout.split("\n")[:-1] == [f"windows {windows}", "True", "True", "the end"], done.stderr[-3000:]
