"""Projects, people, prompts with their responses, and who is asked to rank what."""

from annotation.models.accounts import Session, SignInLink, User, UserManager
from annotation.models.assignments import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    ProblemReport,
    Skip,
    SkipReason,
    random_token,
)
from annotation.models.changes import Change, ChangeAction, ChangeKind
from annotation.models.instructions import Consent, Instructions, Terms
from annotation.models.projects import (
    FEWEST_ARCHIVED,
    FEWEST_RESPONSES,
    MOST_RESPONSES,
    Membership,
    Project,
    Qualification,
    Role,
    random_key,
)
from annotation.models.prompts import (
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    MAX_TEXT_BYTES,
    GenerationRun,
    Prompt,
    PromptImport,
    PromptRejection,
    Purpose,
    RenderedText,
    Response,
)
from annotation.models.takedowns import TOMBSTONE, Takedown

__all__ = [
    "FEWEST_ARCHIVED",
    "FEWEST_RESPONSES",
    "HIGHEST_PRIORITY",
    "LOWEST_PRIORITY",
    "MAX_TEXT_BYTES",
    "MOST_RESPONSES",
    "TOMBSTONE",
    "Assignment",
    "AssignmentSource",
    "AssignmentState",
    "Change",
    "ChangeAction",
    "ChangeKind",
    "Consent",
    "GenerationRun",
    "Instructions",
    "Membership",
    "ProblemReport",
    "Project",
    "Prompt",
    "PromptImport",
    "PromptRejection",
    "Purpose",
    "Qualification",
    "RenderedText",
    "Response",
    "Role",
    "Session",
    "SignInLink",
    "Skip",
    "SkipReason",
    "Takedown",
    "Terms",
    "User",
    "UserManager",
    "random_key",
    "random_token",
]
