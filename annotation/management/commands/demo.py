"""Everything on one machine."""

import os
import signal
import socket
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from annotation.accounts import make_sign_in_link
from annotation.demo_processes import Processes
from annotation.demo_project import Demo, DemoRefusedError, seed
from annotation.generation import (
    GenerationRefusedError,
    latest_run,
    request_generation,
)
from annotation.jobs import JobState
from annotation.models import Assignment, Project, Prompt
from annotation.sampling import GenerationSettings, SamplingSettings

DEMO_MODEL = "SmolLM2-135M-Instruct"  # the folder that annotation.demo_model makes
FETCHING = "model"
WEB_START_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.5


class Command(BaseCommand):
    """`demo [--port N] [--sft DIR_OR_ID]`."""

    help = (
        "Run Rankwell on this machine with a seeded project: web, workers, and"
        " responses that an SFT model writes. Prints one-time sign-in links; Ctrl-C"
        " stops everything. Data stays in VAR_DIR."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The port, and another model than the one that is fetched."""
        port = urlsplit(settings.SITE_URL).port or 8000
        parser.add_argument("--port", type=int, default=port, metavar="N")
        parser.add_argument(
            "--sft",
            default=DEMO_MODEL,
            metavar="DIR_OR_ID",
            help="a causal LM to write the responses; default: %(default)s, fetched",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs until it is interrupted. Errors: CommandError, one line."""
        if settings.PRODUCTION:
            raise CommandError(
                "the demo hands out sign-in links to whoever reads the terminal; it"
                " does not run where SITE_URL is https."
            )
        port: int = options["port"]
        _check_free(port)
        url = f"http://127.0.0.1:{port}"
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        processes = Processes(
            folder=settings.BASE_DIR,
            logs=settings.VAR_DIR / "logs",
            environment=_environment(url),
        )
        try:
            self._run(processes, url=url, port=port, model=options["sft"])
        except KeyboardInterrupt:
            self._say("\nStopping …")
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            processes.stop()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # also into a file or a pipe

    def _run(self, processes: Processes, *, url: str, port: int, model: str) -> None:
        self._say("Starting the database, the broker and the site …")
        call_command("migrate", verbosity=0)
        try:
            demo = seed()
        except DemoRefusedError as error:
            raise CommandError(str(error)) from error
        _start(processes, port)
        if model == DEMO_MODEL and not (settings.MODEL_ROOT / DEMO_MODEL).is_dir():
            self._say("Fetching the SFT model (93 MB, only this once) …")
            processes.start_aloud(
                FETCHING, "annotation.demo_model", str(settings.MODEL_ROOT)
            )
        _wait_for_site(processes, url)
        self._welcome(demo, url, processes)
        self._watch(processes, demo.project, model)

    def _welcome(self, demo: Demo, url: str, processes: Processes) -> None:
        self._say(f"\nRankwell answers at {url}. Sign in as\n\n")
        for title, user in demo.people.items():
            link = url + urlsplit(make_sign_in_link(user)).path
            self._say(f"  {title + ':':<12} {link}")
        self._say(
            "\nA link signs in once (the next start prints new ones); a browser"
            " profile or private\nwindow holds one person at a time. Logs are in"
            f" {processes.logs}. Ctrl-C stops everything.\n\n"
        )

    def _watch(self, processes: Processes, project: Project, model: str) -> None:
        """Ask for responses once the model is there; say what comes of it; return
        never. Errors: CommandError when a process ends that should not."""
        asked = False
        told = ""
        while True:
            ended = processes.ended()
            if ended.get(FETCHING) == 0:
                processes.forget(FETCHING)
            elif ended:
                raise _ended_error(processes, ended)
            elif not asked and not processes.is_running(FETCHING):
                _request(project, model)
                asked = True
            news = _news(project)
            if news != told:
                self._say(news)
                told = news
            time.sleep(LOOK_EVERY_SECONDS)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_free(port: int) -> None:
    """Errors: CommandError when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"port {port} cannot be used ({error}). Stop what listens there, or"
                " choose another: demo --port N."
            ) from error


def _environment(url: str) -> dict[str, str]:
    """The children's: they know the site's address, and leave cores to the browser."""
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    return {"OMP_NUM_THREADS": threads, **os.environ, "SITE_URL": url}


def _start(processes: Processes, port: int) -> None:
    web = ("--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4")
    processes.start(
        "web", "gunicorn", "annotation.wsgi", *web, "--graceful-timeout", "3"
    )
    worker = ("celery", "-A", "annotation", "worker")
    processes.start("worker", *worker, "-Q", "default", "-n", "default@%h", "-c", "1")
    processes.start(
        "models-worker", *worker, "-Q", "models", "-n", "models@%h", "--pool", "solo"
    )
    processes.start("beat", "celery", "-A", "annotation", "beat")


def _wait_for_site(processes: Processes, url: str) -> None:
    deadline = time.monotonic() + WEB_START_SECONDS
    while not _answers(f"{url}/livez"):
        ended = processes.ended()
        if ended.keys() - {FETCHING}:
            raise _ended_error(processes, ended)
        if time.monotonic() > deadline:
            raise CommandError(
                f"the site does not answer; its log is {processes.log('web')}"
            )
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _ended_error(processes: Processes, ended: dict[str, int]) -> CommandError:
    name, status = next(iter(ended.items()))
    if name == FETCHING:
        return CommandError("the SFT model is not there; the reason stands above.")
    return CommandError(
        f"the process {name} ended by itself (exit status {status}); its log is"
        f" {processes.log(name)}"
    )


def _request(project: Project, model: str) -> None:
    """Have responses written, unless a run of an earlier start goes on, or all are."""
    names = ("k_min", "k_max", "temperature", "top_p", "max_new_tokens", "seed")
    sampling = SamplingSettings(**{name: getattr(project, name) for name in names})
    asked_for = GenerationSettings(model=model, sampling=sampling)
    try:
        request_generation(project, settings=asked_for, user=project.created_by)
    except GenerationRefusedError:
        return


def _news(project: Project) -> str:
    """One line for the terminal."""
    prompts = Prompt.objects.filter(project=project)
    total = prompts.count()
    waiting = prompts.awaiting_responses().count()
    failed = prompts.exclude(failure="").count()
    run = latest_run(project)
    if run is not None and run.state == JobState.FAILED:
        return f"The responses could not be written: {run.reason}"
    served = Assignment.objects.filter(project=project).exists()
    if not waiting:
        return f"All {total - failed} prompts can be ranked."
    if served:
        return f"{total - waiting - failed} of {total} prompts can be ranked."
    return "The SFT model has not written anything yet; the first prompt comes soon."
