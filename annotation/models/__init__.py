"""Projects, people, prompts with their responses, and who is asked to rank what."""

from annotation.models.accounts import SignInLink, User, UserManager
from annotation.models.assignments import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    random_token,
)
from annotation.models.projects import (
    FEWEST_ARCHIVED,
    FEWEST_RESPONSES,
    MOST_RESPONSES,
    Instructions,
    Membership,
    Project,
    Role,
    random_key,
)
from annotation.models.prompts import (
    MAX_TEXT_BYTES,
    GenerationRun,
    Prompt,
    Purpose,
    Response,
)

__all__ = [
    "FEWEST_ARCHIVED",
    "FEWEST_RESPONSES",
    "MAX_TEXT_BYTES",
    "MOST_RESPONSES",
    "Assignment",
    "AssignmentSource",
    "AssignmentState",
    "GenerationRun",
    "Instructions",
    "Membership",
    "Project",
    "Prompt",
    "Purpose",
    "Response",
    "Role",
    "SignInLink",
    "User",
    "UserManager",
    "random_key",
    "random_token",
]
