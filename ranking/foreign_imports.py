"""Prompts and rankings out of other people's files, in one go."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from annotation.import_report import ImportReport, batches
from annotation.importing import ImportMode, import_file
from annotation.imports import PromptStore, name_of, stored_prompts
from annotation.json_fields import check_covers
from annotation.jsonl import Line, Progress
from annotation.models import Project, User
from annotation.prompt_lines import PromptLine, check_prompt
from annotation.prompt_warnings import warnings_of
from annotation.strict_json import Refused
from ranking.foreign.formats import FORMATS, ForeignFile
from ranking.foreign.judged import OurLines
from ranking.imports import Stored, StoredOrder, store_rankings, stored_orders
from ranking.ranking_lines import Key, RankingLine, check_ranking
from ranking.summaries import lock_and_summarize

MOST_LINES: Final = 10_000  # of ours, out of one record


def import_foreign(  # noqa: PLR0913  by keyword only, and all but three have defaults
    project: Project,
    file: BinaryIO,
    *,
    shape: str,
    mode: ImportMode = ImportMode.WHOLE,
    progress: Progress | None = None,
    most_bytes: int | None = None,
    user: User | None = None,
    file_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> ImportReport:
    """Import a file of one of the FORMATS: its prompts, and their rankings.

    The report counts the records of the file: rows, tasks, trees. One is `unchanged`
    when all that it says is there already, and refused as a whole when anything in it
    is wrong. Ids are the source's, or follow from what is said, so that the same file
    again is `unchanged`, and one with more rankings of known prompts adds those. A
    record that repeats one above is `unchanged`, with the warning `repeated`; one in
    which nobody ranked anything, with the warning `nothing_ranked`. `columns` names
    the columns of a table: {theirs: ours}.

    Raises UnreadableFile for a file that is broken as a whole; nothing is written.
    """
    source = ForeignFile(
        FORMATS[shape], file, progress, most_bytes=most_bytes, columns=columns
    )
    intake = ForeignIntake(project, file_name=file_name or name_of(file), user=user)
    return import_file(project, source, mode, intake)


@dataclass(frozen=True, slots=True)
class Checked:
    """One prompt of a record with its rankings."""

    prompt: PromptLine
    rankings: list[RankingLine]


@dataclass(slots=True)
class NewRows:
    """What is to be stored of a record."""

    prompts: list[PromptLine] = field(default_factory=list)
    rankings: list[RankingLine] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.prompts or self.rankings)


@dataclass(slots=True)
class Known:
    """What stands in the file above, and what the database holds of a batch."""

    above: dict[str, str] = field(default_factory=dict)  # hash by prompt id
    ranked_above: dict[Key, str] = field(default_factory=dict)  # hash by ranking id
    prompts: dict[str, str] = field(default_factory=dict)  # as above, stored
    rankings: dict[Key, StoredOrder] = field(default_factory=dict)

    def of_prompt(self, prompt_id: str) -> str | None:
        """The hash of a prompt that is known, else None."""
        return self.above.get(prompt_id) or self.prompts.get(prompt_id)

    def remember(self, record: list[Checked]) -> None:
        """A record was not refused: those below may repeat it."""
        for one in record:
            self.above[one.prompt.id] = one.prompt.sha256
            for ranking in one.rankings:
                self.ranked_above[ranking.key] = ranking.sha256


class ForeignIntake:
    """Records of other people's files."""

    def __init__(self, project: Project, *, file_name: str, user: User | None) -> None:
        self._project = project
        self._prompts = PromptStore(project, file_name=file_name, user=user)
        self._ranked: set[int] = set()  # prompts, since the last commit

    def verdicts(
        self,
        lines: Iterable[tuple[Line, list[OurLines] | Refused]],
        report: ImportReport,
    ) -> Iterator[list[NewRows]]:
        """What is new in each batch of records. Four queries a batch."""
        known = Known()
        for batch in batches(self._checked(lines, report)):
            ids = [one.prompt.id for _, record in batch for one in record]
            known.prompts = stored_prompts(self._project, ids)
            rankings = [
                ranking
                for _, record in batch
                for one in record
                for ranking in one.rankings
            ]
            known.rankings = stored_orders(self._project, rankings)
            new = [
                (line, record, rows)
                for line, record in batch
                if (rows := _judge(line, record, known, report))
            ]
            _take([(line, record) for line, record, _ in new], report)
            yield [rows for _, _, rows in new]

    def _checked(
        self,
        lines: Iterable[tuple[Line, list[OurLines] | Refused]],
        report: ImportReport,
    ) -> Iterator[tuple[Line, list[Checked]]]:
        fewest = self._project.fewest_responses
        for line, ours in lines:
            report.lines += 1
            try:
                yield line, _checked(ours, fewest)
            except Refused as error:
                report.refuse(line, error)

    def write(self, rows: list[NewRows]) -> None:
        """Store the prompts with their responses and slots, then the rankings."""
        prompts = [prompt for new in rows for prompt in new.prompts]
        if prompts:
            self._prompts.write(prompts)
        lines = [ranking for new in rows for ranking in new.rankings]
        stored = Stored(self._project, lines)
        new = [found for line in lines if (found := stored.find(line)) is not None]
        if new:
            store_rankings(self._project, new)
            self._ranked.update(ranking.prompt for ranking in new)

    def settle(self, report: ImportReport) -> None:
        """Count the prompts anew, then see PromptStore: prompts are locked first."""
        lock_and_summarize(self._ranked)
        self._ranked.clear()
        self._prompts.settle(report)


def _checked(ours: list[OurLines] | Refused, fewest: int) -> list[Checked]:
    if isinstance(ours, Refused):
        raise ours
    if sum(1 + len(one.rankings) for one in ours) > MOST_LINES:
        raise Refused("too_many_keys", f"one record of more than {MOST_LINES} rankings")
    record = []
    for one in ours:
        prompt = check_prompt(one.prompt, fewest_responses=fewest)
        rankings = [check_ranking(line) for line in one.rankings]
        for ranking in rankings:
            ids = [response.id for response in prompt.responses]
            check_covers(ranking.raw_ranks, ids, "ranks")
        record.append(Checked(prompt, rankings))
    return record


def _judge(
    line: Line, record: list[Checked], known: Known, report: ImportReport
) -> NewRows:
    """What is new of a record; if nothing is, the report gets its verdict."""
    try:
        new = _new_of(record, known)
    except Refused as error:
        report.refuse(line, error)
        return NewRows()
    repeated = any(one.prompt.id in known.above for one in record)
    known.remember(record)
    if new:
        return new
    if not record:
        report.keep(line, [("nothing_ranked", "nobody ranked two responses here")])
    elif repeated:
        report.keep(line, [("repeated", "the same stands above already")])
    else:
        report.keep(line)
    return new


def _take(lines: list[tuple[Line, list[Checked]]], report: ImportReport) -> None:
    """Take these records, each with the warnings of its prompts."""
    prompts = [one.prompt for _, record in lines for one in record]
    warnings = warnings_of(prompts)
    for line, record in lines:
        report.take(line, [sign for _ in record for sign in next(warnings)])


def _new_of(record: list[Checked], known: Known) -> NewRows:
    new = NewRows()
    for one in record:
        stored = known.of_prompt(one.prompt.id)
        if stored is None:
            new.prompts.append(one.prompt)
        elif not one.prompt.is_stored_as(stored):
            raise Refused(
                "changed",
                f"the prompt {one.prompt.id!r} is known with other content; stored"
                " prompts never change",
            )
        for ranking in one.rankings:
            if _is_new(ranking, known, new.rankings):
                new.rankings.append(ranking)
    return new


def _is_new(
    ranking: RankingLine, known: Known, beside: Collection[RankingLine]
) -> bool:
    """Whether it is neither stored, nor above, nor in its own record already.

    Raises Refused where another one has its id.
    """
    above = {one.key: one.sha256 for one in beside}.get(ranking.key)
    above = above or known.ranked_above.get(ranking.key)
    if above is not None and above != ranking.sha256:
        raise Refused(
            "duplicate_ranking", f"another ranking {ranking.id!r} stands above already"
        )
    stored = known.rankings.get(ranking.key)
    if stored not in (None, (ranking.prompt_id, ranking.labeler, ranking.ranks)):
        raise Refused(
            "conflict",
            f"the ranking {ranking.id!r} is stored with another order, prompt or"
            " labeler; stored rankings never change",
        )
    return above is None and stored is None
