"""What labelers answered, and the frozen snapshots that researchers take of it."""

from ranking.models.datasets import Dataset, DatasetLoss, DatasetRanking, FreezeRun
from ranking.models.exports import ExportRun
from ranking.models.file_imports import FileImport
from ranking.models.rankings import (
    Placement,
    Ranking,
    RankingQuerySet,
    RankingStatus,
    RenderMode,
)
from ranking.models.splits import PromptFingerprint, PromptSplit, Split
from ranking.models.submissions import Draft, RefusedSubmission
from ranking.models.summaries import PromptSummary
from ranking.models.withdrawals import Withdrawal, WithdrawalQuerySet

__all__ = [
    "Dataset",
    "DatasetLoss",
    "DatasetRanking",
    "Draft",
    "ExportRun",
    "FileImport",
    "FreezeRun",
    "Placement",
    "PromptFingerprint",
    "PromptSplit",
    "PromptSummary",
    "Ranking",
    "RankingQuerySet",
    "RankingStatus",
    "RefusedSubmission",
    "RenderMode",
    "Split",
    "Withdrawal",
    "WithdrawalQuerySet",
]
