"""Static files whose names carry a hash of their content."""

from django.core.files.base import ContentFile, File
from whitenoise.storage import CompressedManifestStaticFilesStorage

OWN_SCRIPTS = "js/"


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Hashed and compressed; imports between our own modules are rewritten too.

    Only between ours: a module of a library may import a name that is no file.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            OWN_SCRIPTS + "*.js",
            ((r'(?P<matched>from "(?P<url>\./[^"]+\.js)")', 'from "%(url)s"'),),
        ),
    )
    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name; the plain one in the demo and in tests, where nobody has
        collected the files and the finders serve them.
        """
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name

    def _save(self, name: str, content: "File[bytes]") -> str:
        """Own scripts are served without their comments: readers have the source."""
        if name.startswith(OWN_SCRIPTS) and name.endswith(".js"):
            content = ContentFile(without_comments(b"".join(content.chunks())))
        return str(super()._save(name, content))


def without_comments(script: bytes) -> bytes:
    """A script without indentation, empty lines and lines that are a comment.

    Line by line, so it is for scripts that have no text over several lines: ours.
    """
    lines = (line.strip() for line in script.splitlines())
    return b"\n".join(line for line in lines if line and not line.startswith(b"//"))
