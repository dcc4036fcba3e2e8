"""Asking for responses, and what a run writes."""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Now
from django.test import override_settings

from annotation import answering, jobs, tasks
from annotation.answering import answer_prompts, model_source
from annotation.generation import (
    GenerationRefusedError,
    NothingWaitsError,
    cancel_generation,
    latest_run,
    models_on_offer,
    new_run,
    request_generation,
)
from annotation.jobs import JobState, LeaseLostError
from annotation.models import (
    TOMBSTONE,
    Assignment,
    GenerationRun,
    Membership,
    Project,
    Prompt,
    RenderedText,
    Response,
    Takedown,
)
from annotation.rendered import key_of
from annotation.sampling import (
    GenerationSettings,
    ModelUnusableError,
    Outcome,
    PromptToAnswer,
    SampledResponse,
    SamplingSettings,
)
from annotation.takedown import erase_prompt
from tests.conftest import make_prompt
from tests.racing import meanwhile, once, started, wait_until
from tests.tiny_model import make_tiny_sft

pytestmark = pytest.mark.django_db(transaction=True)

FOUR = GenerationSettings(
    model="tiny", sampling=SamplingSettings(k_min=4, k_max=4, max_new_tokens=8)
)


class FakeModel:
    """Answers at once; fails the prompts it is told to; does something beforehand."""

    name = "tiny"

    def __init__(
        self,
        *,
        failing: Sequence[str] = (),
        prompts_at_once: int = 1,
        before: Callable[[str], object] = lambda prompt_id: None,
    ) -> None:
        self.failing = failing
        self.prompts_at_once = prompts_at_once
        self.before = before
        self.batches: list[list[str]] = []

    def __call__(self, name: str) -> "FakeModel":
        self.loaded = name
        return self

    def sample(
        self,
        prompts: Sequence[PromptToAnswer],
        settings: SamplingSettings,
        *,
        check: Callable[[], None],
    ) -> list[Outcome]:
        self.batches.append([prompt.id for prompt in prompts])
        for prompt in prompts:
            self.before(prompt.id)
        check()
        return [self._answer(prompt.id, settings) for prompt in prompts]

    def _answer(self, prompt_id: str, settings: SamplingSettings) -> Outcome:
        if prompt_id in self.failing:
            return Outcome(prompt_id, failure="only 2 different texts")
        return Outcome(
            prompt_id,
            tuple(
                SampledResponse(f"text {n}", {"seed": settings.seed, "attempt": 1})
                for n in range(settings.k_min)
            ),
        )


def waiting_prompt(project: Project, external_id: str) -> Prompt:
    return Prompt.objects.create(
        project=project,
        external_id=external_id,
        messages=[{"role": "user", "content": f"Question {external_id}?"}],
        line_sha256="0" * 64,
        overlap=2,
    )


@pytest.fixture
def waiting(project: Project) -> list[Prompt]:
    """Three prompts without responses, to be ranked by two labelers each."""
    return [waiting_prompt(project, f"p{n}") for n in (1, 2, 3)]


def claimed_run(project: Project, settings: GenerationSettings = FOUR) -> GenerationRun:
    run = GenerationRun.claim(
        new_run(project, settings=settings, user=None).pk, worker="w1"
    )
    assert run is not None
    return run


def answered(project: Project) -> dict[str, tuple[int, int]]:
    """Responses and slots of each prompt."""
    return {
        prompt.external_id: (
            prompt.responses.count(),
            Assignment.objects.filter(prompt=prompt).count(),
        )
        for prompt in Prompt.objects.filter(project=project)
    }


# --- A run ------------------------------------------------------------------------


def test_a_run_writes_responses_with_provenance_and_opens_slots(
    project: Project, waiting: list[Prompt]
) -> None:
    run = claimed_run(project)
    model = FakeModel()
    answer_prompts(run, load=model)
    run.refresh_from_db()
    assert (run.state, run.prompts_total, run.prompts_done) == (JobState.DONE, 3, 3)
    assert answered(project) == dict.fromkeys(("p1", "p2", "p3"), (4, 2))
    response = Response.objects.get(prompt=waiting[0], external_id="r1")
    assert (response.text, response.model) == ("text 0", "tiny")
    assert response.params == {"seed": 0, "attempt": 1}
    rendered = RenderedText.objects.values_list("key", flat=True)
    assert set(rendered) >= {
        key_of("text 0"),
        key_of(waiting[0].messages[0]["content"]),
    }


def test_prompts_that_have_responses_are_left_alone(
    project: Project, waiting: list[Prompt]
) -> None:
    make_prompt(project, "full")
    model = FakeModel()
    answer_prompts(claimed_run(project), load=model)
    assert model.batches == [["p1"], ["p2"], ["p3"]]


def test_a_limit_is_the_most_prompts_of_the_run(
    project: Project, waiting: list[Prompt]
) -> None:
    limited = GenerationSettings(model="tiny", sampling=FOUR.sampling, limit=2)
    run = claimed_run(project, limited)
    assert run.prompts_total == 2
    answer_prompts(run, load=FakeModel())
    assert [count for count, _ in answered(project).values()].count(4) == 2


def test_a_failed_prompt_keeps_its_reason_and_the_run_goes_on(
    project: Project, waiting: list[Prompt]
) -> None:
    run = claimed_run(project)
    answer_prompts(run, load=FakeModel(failing=["p2"]))
    run.refresh_from_db()
    assert (run.state, run.prompts_done, run.prompts_failed) == (JobState.DONE, 2, 1)
    assert Prompt.objects.get(external_id="p2").failure == "only 2 different texts"
    assert answered(project)["p2"] == (0, 0)


def test_a_batch_is_as_large_as_the_model_likes(
    project: Project, waiting: list[Prompt]
) -> None:
    model = FakeModel(prompts_at_once=2)
    answer_prompts(claimed_run(project), load=model)
    assert model.batches == [["p1", "p2"], ["p3"]]


def test_a_run_taken_up_again_goes_on_where_the_first_worker_stopped(
    project: Project, waiting: list[Prompt]
) -> None:
    def die(prompt_id: str) -> None:
        if prompt_id == "p2":
            raise SystemError("the process is gone")

    first = claimed_run(project)
    first.finish = lambda *a, **k: None  # type: ignore[method-assign]  # it is dead
    with pytest.raises(SystemError):
        answer_prompts(first, load=FakeModel(before=die))
    GenerationRun.objects.update(lease_until=Now() - Value(jobs.LEASE))
    second = GenerationRun.claim(first.pk, worker="w2")
    assert second is not None
    model = FakeModel()
    answer_prompts(second, load=model)
    assert model.batches == [["p2"], ["p3"]]
    second.refresh_from_db()
    assert (second.state, second.prompts_done, second.prompts_total) == ("done", 3, 3)


def test_a_worker_that_lost_the_run_writes_nothing_more(
    project: Project, waiting: list[Prompt]
) -> None:
    def another_takes_over(prompt_id: str) -> None:
        if prompt_id == "p2":
            GenerationRun.objects.update(lease_until=Now() - Value(jobs.LEASE))
            assert GenerationRun.claim(run.pk, worker="w2") is not None

    run = claimed_run(project)
    answer_prompts(run, load=FakeModel(before=another_takes_over))
    assert answered(project) == {"p1": (4, 2), "p2": (0, 0), "p3": (0, 0)}
    run.refresh_from_db()
    assert (run.state, run.worker, run.prompts_done) == (JobState.RUNNING, "w2", 1)


def test_a_cancelled_run_stops_and_keeps_what_was_written(
    project: Project, waiting: list[Prompt]
) -> None:
    def cancel(prompt_id: str) -> None:
        if prompt_id == "p2":
            assert cancel_generation(project)

    run = claimed_run(project)
    answer_prompts(run, load=FakeModel(before=cancel))
    run.refresh_from_db()
    assert run.state == JobState.CANCELLED
    assert answered(project) == {"p1": (4, 2), "p2": (0, 0), "p3": (0, 0)}


@pytest.fixture
def worker_told_to_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tasks.ask_work_to_stop()
    yield
    jobs._stopping.value = 0


def test_a_worker_told_to_end_gives_the_run_back(
    project: Project, waiting: list[Prompt], worker_told_to_end: None
) -> None:
    run = claimed_run(project)
    answer_prompts(run, load=FakeModel())
    run.refresh_from_db()
    assert (run.state, run.lost_leases, run.prompts_done) == (JobState.QUEUED, 0, 0)


def test_a_model_that_cannot_be_loaded_fails_the_run_in_words(
    project: Project, waiting: list[Prompt]
) -> None:
    def load(name: str) -> FakeModel:
        raise ModelUnusableError(f"{name!r} cannot be loaded.")

    run = claimed_run(project)
    answer_prompts(run, load=load)
    run.refresh_from_db()
    assert (run.state, run.reason) == (JobState.FAILED, "'tiny' cannot be loaded.")
    assert not Prompt.objects.exclude(failure="").exists()


def test_an_error_nobody_foresaw_fails_the_run_and_is_raised(
    project: Project, waiting: list[Prompt]
) -> None:
    def explode(prompt_id: str) -> None:
        raise ZeroDivisionError("division by zero")

    run = claimed_run(project)
    with pytest.raises(ZeroDivisionError):
        answer_prompts(run, load=FakeModel(before=explode))
    run.refresh_from_db()
    assert run.reason == "ZeroDivisionError: division by zero"


def test_a_prompt_is_written_whole_or_not_at_all(
    project: Project, waiting: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_slots(prompts: list[Prompt]) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("annotation.answering.open_slots", no_slots)
    run = claimed_run(project)
    with pytest.raises(RuntimeError):
        answer_prompts(run, load=FakeModel())
    run.refresh_from_db()
    assert run.prompts_done == 0
    assert not Response.objects.exists()


# --- Asking -----------------------------------------------------------------------


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of runs that a worker was woken for."""
    ids: list[int] = []
    monkeypatch.setattr(tasks.generate_responses, "delay", ids.append)
    return ids


def test_a_request_is_a_row_first_and_a_message_after_it(
    project: Project, admin: Membership, waiting: list[Prompt], woken: list[int]
) -> None:
    run = request_generation(project, settings=FOUR, user=admin.user)
    assert woken == [run.pk]
    run.refresh_from_db()
    assert (run.state, run.prompts_total) == (JobState.QUEUED, 3)
    assert run.created_by == admin.user
    project.refresh_from_db()
    assert (project.sft_model, project.k_max, project.max_new_tokens) == ("tiny", 4, 8)


def test_one_run_at_a_time(
    project: Project, waiting: list[Prompt], woken: list[int]
) -> None:
    first = request_generation(project, settings=FOUR, user=None)
    with pytest.raises(GenerationRefusedError, match="already"):
        request_generation(project, settings=FOUR, user=None)
    assert woken == [first.pk]
    assert cancel_generation(project)
    assert request_generation(project, settings=FOUR, user=None).pk != first.pk


def test_a_run_whose_worker_vanished_gives_way(
    project: Project, waiting: list[Prompt], woken: list[int]
) -> None:
    abandoned = claimed_run(project)
    GenerationRun.objects.update(lease_until=Now() - Value(jobs.LEASE))
    request_generation(project, settings=FOUR, user=None)
    abandoned.refresh_from_db()
    assert abandoned.state == JobState.FAILED
    with pytest.raises(LeaseLostError):
        abandoned.write()


def test_without_a_waiting_prompt_there_is_nothing_to_ask_for(
    project: Project, woken: list[int]
) -> None:
    make_prompt(project)
    with pytest.raises(NothingWaitsError):
        request_generation(project, settings=FOUR, user=None)
    assert not GenerationRun.objects.exists()


def test_a_run_that_no_worker_takes_is_told_apart(
    project: Project, waiting: list[Prompt], woken: list[int]
) -> None:
    run = request_generation(project, settings=FOUR, user=None)
    latest = latest_run(project)
    assert latest is not None
    assert latest.waits_long is False  # type: ignore[attr-defined]
    GenerationRun.objects.filter(pk=run.pk).update(queued_at=Now() - Value(jobs.LEASE))
    latest = latest_run(project)
    assert latest is not None
    assert latest.waits_long is True  # type: ignore[attr-defined]


# --- Models by name ---------------------------------------------------------------


def test_pages_offer_models_of_the_model_root_and_the_one_an_operator_named(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").touch()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "weights.gguf").touch()
    (tmp_path / ".converting-x").mkdir()
    (tmp_path / ".converting-x" / "config.json").touch()
    (tmp_path / "no-model").mkdir()
    project.sft_model = "/elsewhere/three"
    with override_settings(MODEL_ROOT=tmp_path):
        assert models_on_offer(project) == [
            ("/elsewhere/three", "three"),
            ("one", "one"),
            ("two", "two"),
        ]
        assert model_source("one") == str(tmp_path / "one")
        assert model_source("org/model") == "org/model"
        assert model_source("..") == ".."


# --- The command ------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_tiny_sft(tmp_path / "tiny-sft")


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("generate_responses", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_samples_in_the_foreground(
    project: Project, waiting: list[Prompt], tiny: Path
) -> None:
    said = command(
        "tides", "--sft", str(tiny), "-k", "4-5", "--seed", "7", "--max-new-tokens", "8"
    )
    assert said == "3 done, 0 failed.\n"
    for responses, slots in answered(project).values():
        assert responses in (4, 5)
        assert slots == 2
    response = Response.objects.order_by("pk")[0]
    assert response.model == "tiny-sft"
    assert response.params["seed"] == 7
    assert response.params["max_new_tokens"] == 8
    run = GenerationRun.objects.get()
    assert (run.state, run.prompts_done, run.worker) == ("done", 3, tasks.worker_name())


def test_the_same_command_again_finds_nothing_to_do(
    project: Project, waiting: list[Prompt], tiny: Path
) -> None:
    command("tides", "--sft", str(tiny), "--max-new-tokens", "4")
    before = answered(project)
    assert command("tides") == "No prompt waits for responses.\n"
    assert answered(project) == before


def test_prompts_that_failed_are_tried_again_when_asked(
    project: Project, waiting: list[Prompt], tiny: Path
) -> None:
    cold = ("--temperature", "0.0001", "--max-new-tokens", "4")
    with pytest.raises(CommandError, match="no prompt could be answered"):
        command("tides", "--sft", str(tiny), *cold)
    assert command("tides") == "No prompt waits for responses.\n"
    said = command("tides", "--retry-failed", "--temperature", "1.0")
    assert said == "3 done, 0 failed.\n"
    assert not Prompt.objects.exclude(failure="").exists()


def test_the_page_and_the_command_exclude_each_other(
    project: Project, waiting: list[Prompt], woken: list[int], tiny: Path
) -> None:
    request_generation(project, settings=FOUR, user=None)
    with pytest.raises(CommandError, match="already"):
        command("tides", "--sft", str(tiny))


def test_the_task_samples_what_its_row_asks_for(
    project: Project, waiting: list[Prompt], woken: list[int], tiny: Path
) -> None:
    settings = GenerationSettings(model=str(tiny), sampling=FOUR.sampling)
    run = request_generation(project, settings=settings, user=None)
    tasks.generate_responses(run.pk)
    tasks.generate_responses(run.pk)  # a duplicate message finds nothing to claim
    run.refresh_from_db()
    assert (run.state, run.attempt, run.prompts_done) == (JobState.DONE, 1, 3)


def test_the_beat_sends_forgotten_runs_again(
    project: Project, waiting: list[Prompt], woken: list[int]
) -> None:
    run = new_run(project, settings=FOUR, user=None)
    GenerationRun.objects.update(queued_at=Now() - Value(jobs.LEASE))
    tasks.reconcile()
    assert woken == [run.pk]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", "--sft", "m"], "there is no project 'nothing'"),
        (["tides"], "--sft DIR_OR_ID"),
        (["tides", "--sft", "m", "-k", "3"], "k is 3-3"),
        (["tides", "--sft", "m", "-k", "9-4"], "k is 9-4"),
        (["tides", "--sft", "m", "--temperature", "0"], "temperature is 0.0"),
        (["tides", "--sft", "m", "--top-p", "2"], "top-p is 2.0"),
        (["tides", "--sft", "m", "--limit", "0"], "--limit is 0"),
        (["tides", "--sft", "/no/such/model"], "neither a directory nor a hub id"),
    ],
)
def test_wrong_use_costs_one_clear_line(
    project: Project, waiting: list[Prompt], arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        command(*arguments)
    assert "\n" not in str(refused.value)
    assert not Response.objects.exists()


def connections() -> set[int]:
    """To the database of the tests; Postgres has workers of its own there as well."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


def test_no_connection_is_left_open_by_the_heartbeat(
    project: Project, waiting: list[Prompt]
) -> None:
    before = connections()
    answer_prompts(claimed_run(project), load=FakeModel())
    # Postgres lists a connection for a moment after it has been closed.
    wait_until(lambda: connections() <= before)


# --- Taken down while its responses are sampled -------------------------------------


@transaction.atomic
def take_down(prompt: Prompt) -> None:
    assert erase_prompt(prompt, reason="A name.", user=None)


def sampled_texts() -> int:
    return Response.objects.filter(text__startswith="text ").count()


def test_a_prompt_that_is_taken_down_meanwhile_gets_no_responses(
    project: Project, waiting: list[Prompt]
) -> None:
    first, second, third = waiting
    model = FakeModel(before=lambda name: name == "p2" and take_down(second))
    told: list[Outcome] = []
    run = claimed_run(project)
    answer_prompts(run, load=model, tell=told.append)
    assert not second.responses.exists()
    assert [one.responses.count() for one in (first, third)] == [4, 4]
    assert [one.prompt_id for one in told] == ["p1", "p3"]
    run.refresh_from_db()
    counts = (run.prompts_done, run.prompts_failed, run.prompts_total)
    assert (run.state, counts) == ("done", (2, 0, 2))


def test_responses_wait_for_a_takedown_and_are_not_stored(
    project: Project, waiting: list[Prompt]
) -> None:
    run = claimed_run(project)
    # p1 comes first, so the run waits with the first thing it writes.
    meanwhile(
        lambda: take_down(waiting[0]), lambda: answer_prompts(run, load=FakeModel())
    )
    assert not waiting[0].responses.exists()
    assert sampled_texts() == 8


def answered_while_taken_down(
    project: Project, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The takedown begins when the responses are ready to be written; they are when it
    is done, or waits."""

    def slowly(prompt: Prompt, outcome: Outcome, *, model: str) -> list[Response]:
        begin()
        return made(prompt, outcome, model=model)

    made = answering._responses
    with ThreadPoolExecutor(1) as threads:
        begin = once(lambda: started(threads, lambda: take_down(prompt)))
        monkeypatch.setattr(answering, "_responses", slowly)
        answer_prompts(claimed_run(project), load=FakeModel())
    assert Takedown.objects.get().prompt == prompt


def test_a_takedown_waits_for_responses_and_finds_them(
    project: Project, waiting: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered_while_taken_down(project, waiting[0], monkeypatch)
    texts = waiting[0].responses.values_list("text", flat=True)
    assert list(texts) == [TOMBSTONE] * 4
    assert sampled_texts() == 8


def test_control_without_the_lock_a_takedown_leaves_responses_behind(
    project: Project, waiting: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(pk: int) -> Prompt:
        return Prompt.objects.get(pk=pk)

    monkeypatch.setattr(answering, "lock_prompt", look)
    answered_while_taken_down(project, waiting[0], monkeypatch)
    assert sampled_texts() == 12
