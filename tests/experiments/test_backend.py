import os
import subprocess
import sys

import keras
import pytest

from physiokeras.experiments import backend
from physiokeras.pipelines.prepared.devices import keras_backend, leave_gpus_to_backend


def run(code, environment=None):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


def test_backend_chosen_before_keras_is_the_one_it_runs_on():
    name = keras.config.backend()
    other = run(
        f"from physiokeras.experiments import backend; backend.use({name!r})\n"
        "import keras; print(keras.config.backend())"
    )
    assert other.stdout.strip() == name
    assert other.stderr == ""


@pytest.mark.once
@pytest.mark.parametrize(("name", "loaded"), [("torch", ["triton", "tensorflow"]), ("jax", ["tensorflow"])])
def test_triton_is_loaded_before_tensorflow_which_would_crash_it(name, loaded, tmp_path):
    for module in ("triton", "tensorflow"):
        hidden = "class config:\n    set_visible_devices = staticmethod(lambda *_: None)\n"
        (tmp_path / f"{module}.py").write_text(f"print({module!r})\n{hidden}")
    code = "from physiokeras.pipelines.prepared.devices import load_tensorflow; load_tensorflow()"
    folders = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = run(code, {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "KERAS_BACKEND": name})
    assert result.stdout.split() == loaded, result.stderr


@pytest.mark.once
def test_messages_of_an_import_that_fails_are_shown():
    result = run(
        "import os; from physiokeras.experiments import backend\n"
        "with backend._held_back_stderr(): os.write(2, b'quiet ')\n"
        "with backend._held_back_stderr(): os.write(2, b'what went wrong'); raise ImportError('and where')"
    )
    assert result.returncode == 1
    assert result.stderr.startswith("what went wrong")
    assert "and where" in result.stderr


def test_backend_that_keras_already_runs_on_is_accepted():
    backend.use(keras.config.backend())
    assert keras_backend() == keras.config.backend()


def test_other_backend_than_the_running_one_is_refused():
    other = "jax" if keras.config.backend() != "jax" else "torch"
    with pytest.raises(RuntimeError, match=f"already runs on {keras.config.backend()}.*{other} needs a new"):
        backend.use(other)


@pytest.mark.once
@pytest.mark.parametrize(("name", "package"), [("jax", "physiokeras[jax]"), ("tensorflow", "physiokeras")])
def test_backend_not_installed_says_what_to_install(name, package):
    result = run(
        f"import sys; sys.modules[{name!r}] = None; from physiokeras.experiments import backend; backend.use({name!r})"
    )
    assert result.returncode == 1
    assert result.stderr.strip() == f"The {name} backend is not installed here: pip install '{package}'"


class FakeTensorFlow:
    def __init__(self, initialised=False):
        self.config, self.initialised, self.hidden = self, initialised, False

    def set_visible_devices(self, devices, kind):
        if self.initialised:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.hidden = (devices, kind) == ([], "GPU")


@pytest.mark.once
@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_gpus_are_hidden_from_tensorflow_unless_it_is_the_backend(monkeypatch, name):
    monkeypatch.setattr("physiokeras.pipelines.prepared.devices.keras_backend", lambda: name)
    fake = FakeTensorFlow()
    leave_gpus_to_backend(fake)
    assert fake.hidden == (name != "tensorflow")


@pytest.mark.once
def test_tensorflow_that_already_took_the_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr("physiokeras.pipelines.prepared.devices.keras_backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="already uses the GPUs that the jax backend needs"):
        leave_gpus_to_backend(FakeTensorFlow(initialised=True))


@pytest.mark.once
def test_programs_that_jax_has_compiled_are_found_by_the_next_process(tmp_path):
    code = (
        "from physiokeras.experiments import backend; backend.keep_programs()\n"
        "import jax, jax.monitoring\n"
        "seen = []; jax.monitoring.register_event_listener(lambda name, **_: seen.append(name))\n"
        "jax.jit(lambda x: x * 2 + 1)(jax.numpy.arange(3.0)).block_until_ready()\n"
        "print(jax.config.jax_compilation_cache_max_size, seen.count('/jax/compilation_cache/cache_hits') > 0)"
    )
    others = ("COMPILATION_CACHE", "PHYSIOKERAS_CACHE")
    environment = {name: value for name, value in os.environ.items() if not any(one in name for one in others)}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    said = [run(code, environment).stdout.split() for _ in range(2)]
    assert said == [[str(backend.PROGRAMS_BYTES), "False"], [str(backend.PROGRAMS_BYTES), "True"]]
    assert any((tmp_path / "physiokeras" / "jax").iterdir())
