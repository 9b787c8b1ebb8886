import pytest

from physiokeras.experiments import hosts, launchers
from physiokeras.recipes.pretrain import Settings

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    """An environment in which nothing was launched."""
    for name in [name for names in launchers.LAUNCHERS.values() for name in names]:
        monkeypatch.delenv(name, raising=False)


def settings(**values):
    return Settings(**{"backend": "jax", "data": "prepared", "hosts": 4, **values})


@pytest.mark.parametrize(
    ("variables", "coordinator"),
    [
        ({"SLURM_NTASKS": 4, "SLURM_PROCID": 3, "SLURM_STEP_NODELIST": "n[07-09,12]", "SLURM_JOB_ID": 1}, "n07:61441"),
        ({"SLURM_NTASKS": 4, "SLURM_PROCID": 3, "SLURM_STEP_NODELIST": "a,b", "SLURM_JOB_ID": 4097}, "a:61441"),
        ({"WORLD_SIZE": 4, "RANK": 3, "MASTER_ADDR": "first", "MASTER_PORT": 500}, "first:501"),
        ({"WORLD_SIZE": 4, "RANK": 3, "MASTER_ADDR": "first", "MASTER_PORT": 65535}, "first:65534"),
        ({"JAX_NUM_PROCESSES": 4, "JAX_PROCESS_ID": 3, "JAX_COORDINATOR_ADDRESS": "first:500"}, "first:500"),
    ],
)
def test_launchers_tell_the_number_of_hosts_and_the_place(monkeypatch, variables, coordinator):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    assert hosts.place(Settings(backend="jax", data="prepared")) == hosts.Place(3, 4, coordinator)
    assert hosts.place(settings(host_index=1, coordinator="x:1")) == hosts.Place(1, 4, "x:1")
    assert hosts.place(settings(hosts=1)) == hosts.Place()
    with pytest.raises(SystemExit, match=r"--hosts 2, but .* started 4 processes"):
        hosts.place(settings(hosts=2))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        # As in a batch script of a job of four tasks, which no `srun` started.
        {"SLURM_NTASKS": 4, "SLURM_PROCID": 0, "SLURM_JOB_ID": 1, "SLURM_JOB_NODELIST": "n[1-4]"},
        # As some clusters set it for a single process.
        {"WORLD_SIZE": 1, "RANK": 0, "MASTER_ADDR": "first"},
    ],
)
def test_a_process_that_no_launcher_started_with_others_trains_alone(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    assert hosts.place(Settings(backend="jax")) == hosts.Place()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs --host-index"),
        ({"host_index": 4, "coordinator": "x:1"}, "Received: 4, with 4 hosts"),
        ({"hosts": 1, "host_index": 1, "coordinator": "x:1"}, "Received: 1, with 1 hosts"),
        ({"host_index": 1, "coordinator": "x"}, "must be HOST:PORT"),
    ],
)
def test_a_place_that_is_not_known_is_refused(values, message):
    with pytest.raises(SystemExit, match=message):
        hosts.place(settings(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backend": "torch"}, "Keras on torch trains in one process"),
        ({"backend": "tensorflow"}, "multi-worker strategy is reported not to work under Keras 3"),
        ({"data": None}, "needs data"),
        ({"batch_size": 6}, "must divide by hosts times devices"),
        ({"devices": 2, "model_parallel": 2}, "model_parallel needs hosts 1"),
    ],
)
def test_what_several_hosts_cannot_train_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        settings(**values)


def test_hosts_that_only_the_environment_names_are_refused_with_its_name(monkeypatch):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "n1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="4 hosts, by the environment of Slurm; --hosts 1 trains without others"):
        Settings(backend="torch", data="prepared")
    assert Settings(backend="torch", hosts=1).hosts == 1
