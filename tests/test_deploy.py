"""deploy/: its files pass their own validators and agree with one another and with the command line; compose's run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml
from test_replicas import clean, ports

from kbert.cli import app, one_option_a_word
from kbert.cli.strategy_options import RETRY

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE, JOB, TFJOB = DEPLOY / "compose.yaml", DEPLOY / "kubernetes" / "job.yaml", DEPLOY / "kubernetes" / "tfjob.yaml"
SLURM, DOCKERFILE = DEPLOY / "slurm.sh", DEPLOY / "Dockerfile"
AGAIN = {RETRY, 128 + signal.SIGTERM}  # a lost worker; a notice
STYLE = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, " + (
    "comments: {min-spaces-from-content: 1}}}"
)
VALIDATORS = {  # file, and a mistake that its validator must find
    "compose": (COMPOSE, ("stop_grace_period", "stop_grace"), "check-jsonschema --builtin-schema vendor.compose-spec"),
    "job": (JOB, ("completionMode", "completion"), "kubernetes-validate --strict"),
    "image": (DOCKERFILE, ("WORKDIR /shared", "WORKDIR shared"), "hadolint"),
    "slurm": (SLURM, ('"$code"\n', "$codes\n"), "shellcheck"),
    "compose, style": (COMPOSE, ("\n\nservices", "\n\n\n\nservices"), f"yamllint -s -d '{STYLE}'"),
    "job, style": (JOB, ("kind: Job", "kind:   Job"), f"yamllint -s -d '{STYLE}'"),
    "tfjob, style": (TFJOB, ("kind: TFJob", "kind:   TFJob"), f"yamllint -s -d '{STYLE}'"),
}


def validate(command: str, *files: Path) -> subprocess.CompletedProcess:
    name, *words = shlex.split(command)
    tool = Path(sys.executable).with_name(name)
    if not tool.is_file():
        pytest.skip(f"no {name}")
    return subprocess.run([tool, *words, *files], capture_output=True, text=True)


def documents(path: Path) -> dict[str, dict]:
    """The objects of a file of Kubernetes, by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all(path.read_text())}


def interpolated(words, told: dict[str, str]) -> list[str]:
    """Words of the compose file with ${NAME:-default} as `docker compose` reads it."""
    return [re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: told.get(found[1], found[2]), word) for word in words]


def worker_script() -> str:
    """What a pod of the Job does."""
    shell, flags, script = documents(JOB)["Job"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert (shell, flags) == ("sh", "-ec")
    return script


def commands() -> dict[str, list[str]]:
    """Every kbert command of the folder."""
    found = {f"compose {name}": interpolated(one["command"], {}) for name, one in compose().items()}
    found["tfjob"] = tfjob_pod()["spec"]["containers"][0]["args"]
    for name, text in (("job", worker_script()), ("slurm", SLURM.read_text())):
        (line,) = re.findall(r"^(?:exec|srun .*?) (kbert .*)$", text.replace("\\\n", " "), re.MULTILINE)
        found[name] = shlex.split(line.partition("||")[0])
    return found


def compose() -> dict[str, dict]:
    return yaml.safe_load(COMPOSE.read_text())["services"]


def tfjob_pod() -> dict:
    return documents(TFJOB)["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"]


@pytest.mark.parametrize("name", VALIDATORS)
def test_a_file_passes_its_validator_and_a_mistake_in_it_does_not(name, tmp_path):
    path, (right, wrong), command = VALIDATORS[name]
    done = validate(command, path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = path.read_text()
    assert right in text
    (tmp_path / path.name).write_text(text.replace(right, wrong))
    assert validate(command, tmp_path / path.name).returncode != 0


def test_the_pods_of_a_tfjob_are_pods_and_the_script_of_a_job_is_a_script(tmp_path):
    pod = tfjob_pod()["spec"] | {"restartPolicy": "Never"}
    (tmp_path / "pod.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod})
    )
    done = validate("kubernetes-validate --strict", tmp_path / "pod.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "worker.sh").write_text("WORKERS=2 JOB_COMPLETION_INDEX=0\n" + worker_script())
    assert validate("shellcheck --shell=sh", tmp_path / "worker.sh").returncode == 0


@pytest.mark.parametrize(
    "name", ["compose vocabulary", "compose worker-0", "compose worker-1", "tfjob", "job", "slurm"]
)
def test_every_command_parses(name):
    program, command, *words = commands()[name]
    assert program == "kbert"
    given = typer.main.get_command(app).commands[command].make_context(command, one_option_a_word(words))
    assert command != "pretrain" or given.params["strategy"] == "multiworker"  # never alone by mistake


def test_workers_of_one_file_run_one_command_on_one_port_each():
    services = compose()
    told = [json.loads(services[f"worker-{index}"]["environment"]["TF_CONFIG"]) for index in range(2)]
    assert [one["task"] for one in told] == [{"type": "worker", "index": index} for index in range(2)]
    assert told[0]["cluster"] == told[1]["cluster"] == {"worker": ["worker-0:2222", "worker-1:2222"]}
    found = commands()
    assert found["compose worker-0"] == found["compose worker-1"]
    of_base = [words[words.index("--size=base") :][:-1] for words in (found["job"], found["tfjob"], found["slurm"])]
    assert of_base[0] == of_base[1] == of_base[2]
    pods = documents(JOB)["Job"]["spec"]["template"]["spec"], tfjob_pod()["spec"]
    (port,) = {port["containerPort"] for pod in pods for port in pod["containers"][0]["ports"]}
    assert port == documents(JOB)["Service"]["spec"]["ports"][0]["port"] == 2222


def test_a_job_has_as_many_pods_as_its_workers_know_of_and_finds_them_by_its_service(tmp_path):
    kinds = documents(JOB)
    job, service = kinds["Job"]["spec"], kinds["Service"]
    pod, (container,) = job["template"]["spec"], job["template"]["spec"]["containers"]
    workers = next(one["value"] for one in container["env"] if one["name"] == "WORKERS")
    assert job["completions"] == job["parallelism"] == int(workers)
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= job["template"]["metadata"]["labels"].items()
    (tmp_path / "kbert").write_text('#!/bin/sh\nprintf %s "$TF_CONFIG"\n')
    (tmp_path / "kbert").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKERS": "3", "JOB_COMPLETION_INDEX": "2"}
    said = subprocess.run(["sh", "-ec", worker_script()], env=env, capture_output=True, text=True, check=True).stdout
    names = [f"{kinds['Job']['metadata']['name']}-{index}.{pod['subdomain']}:2222" for index in range(3)]
    assert json.loads(said) == {"cluster": {"worker": names}, "task": {"type": "worker", "index": 2}}


def test_what_is_tried_again_is_what_kbert_ends_with_for_that():
    rules = documents(JOB)["Job"]["spec"]["podFailurePolicy"]["rules"]
    by_code = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in rules if "onExitCodes" in rule}
    assert by_code == {"Ignore": AGAIN, "FailJob": {1, 2}}
    (container,) = {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule}
    assert container == documents(JOB)["Job"]["spec"]["template"]["spec"]["containers"][0]["name"]
    assert documents(TFJOB)["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "ExitCode"


@pytest.mark.parametrize("code", [0, 1, 2, 137, *sorted(AGAIN)])
@pytest.mark.parametrize("starts", [0, 100])
def test_slurm_queues_a_job_again_where_another_try_may_help(code, starts, tmp_path):
    for name, body in (("srun", f"exit {code}"), ("scontrol", f'echo "$@" > {tmp_path}/said')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": str(starts)}
    ended = subprocess.run(["bash", SLURM], env=env, cwd=tmp_path).returncode
    again = code in AGAIN | {137} and starts < 100
    assert ended == (0 if again else code)
    assert (tmp_path / "said").exists() == again
    assert not again or (tmp_path / "said").read_text() == "requeue 17\n"


def test_only_extras_of_accelerators_are_left_out_of_the_lock():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    locked = re.search(r"^LOCKED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert extras - set(locked) == {"cuda"}
    assert not re.search(r"^(nvidia-|libtpu|tensorflow-tpu)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def test_the_commands_of_compose_train_on_two_workers(tmp_path):
    """A vocabulary, then both workers, as the file says them; services are processes, their names ports of loopback."""
    (tmp_path / "texts").mkdir()
    names = [a + b for a in "bcdfgklm" for b in ("ana", "ilo", "uru")]
    lines = [f"{' '.join(names[i % 7 : i % 7 + 8])}." + "\n" * (i % 5 == 4) for i in range(120)]
    (tmp_path / "texts" / "a.txt").write_text("\n".join(lines))
    told = {"SIZE": "tiny", "STEPS": "3", "BATCH_SIZE": "4", "VOCABULARY": "45"}
    services, found = compose(), ports(2)

    def start(name: str) -> subprocess.Popen:
        config = services[name].get("environment", {})
        for index, port in enumerate(found):
            config = {key: value.replace(f"worker-{index}:2222", f"localhost:{port}") for key, value in config.items()}
        words = [word.replace("/shared", str(tmp_path)) for word in interpolated(services[name]["command"], told)]
        with (tmp_path / f"{name}.log").open("w") as log:
            command = [sys.executable, "-m", *words]
            return subprocess.Popen(command, env={**clean(), **config}, cwd=tmp_path, stdout=log, stderr=log)

    def ended(*services: str) -> list[int]:
        codes = [process.wait(timeout=300) for process in [start(name) for name in services]]
        assert set(codes) <= {0} | AGAIN, "\n".join(log.read_text()[-2000:] for log in tmp_path.glob("*.log"))
        return codes

    assert services["worker-0"]["restart"] == services["worker-1"]["restart"] == "on-failure:10"
    assert ended("vocabulary") == [0]
    for _ in range(3):  # heartbeats may be late where many processes share a core: then again, as Compose does
        if not any(ended("worker-0", "worker-1")):
            break
    assert "2 workers, 2 replicas, batches of 4: 2 on each" in (tmp_path / "worker-1.log").read_text()
    assert (tmp_path / "run" / "model.safetensors").is_file()
