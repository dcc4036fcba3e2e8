"""Static files whose names carry a hash of their content; our scripts made small."""

import re
from collections.abc import Callable
from pathlib import Path

import minify
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile, File
from whitenoise.storage import CompressedManifestStaticFilesStorage

OWN_SCRIPTS = "js/"
HASH = re.compile(r"\.[0-9a-f]{12}(?=\.js$)")
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |const |let )", re.MULTILINE)
LEFT_OVER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Hashed and compressed; each of our own scripts comes as one small file."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """The hashed name; the plain one in the demo and in tests, where nobody has
        collected the files and the finders serve them.
        """
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name

    def file_hash(self, name: str | None, content: "File[bytes] | None" = None) -> str:
        """Of a script of ours: the hash of all that is joined in it."""
        if name and _is_own_script(name):  # no name: the manifest's
            content = ContentFile(served(name).encode())
        return str(super().file_hash(name, content))

    def _save(self, name: str, content: "File[bytes]") -> str:
        """A script of ours is served with what it imports: a browser far away would
        ask for module after module, and apart they compress a quarter worse.

        Called for its own name and for the hashed one, each time with the source.
        """
        source = HASH.sub("", name)
        if _is_own_script(source):
            content = ContentFile(served(source).encode())
        return str(super()._save(name, content))


def _is_own_script(name: str) -> bool:
    return name.startswith(OWN_SCRIPTS) and name.endswith(".js")


def served(name: str) -> str:
    """Our script `name`, as it is collected: with its modules, without comments."""
    folder, _, entry = name.rpartition("/")
    script = joined(entry, lambda module: _source(f"{folder}/{module}"))
    return small(script)


def small(script: str) -> str:
    """The same script in few characters. Errors: MinifyError for what is no script."""
    return str(minify.string("application/javascript", script))


def _source(name: str) -> str:
    found = finders.find(name)
    if not isinstance(found, str):
        raise FileNotFoundError(f"No static file {name}.")
    return Path(found).read_text()


def joined(entry: str, read: Callable[[str], str]) -> str:
    """The modules that `entry` needs and itself, in one function: one scope.

    `read` gives the source of a module of the same folder. Each stands after those it
    imports. Within one scope a name must not be declared twice; the minifier refuses
    that. Errors: ValueError for modules that import each other, and for any import or
    export but `import { a, b } from "./c.js";` and `export` before a declaration.
    """
    parts: dict[str, str] = {}

    def add(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            raise ValueError(f"Scripts import each other: {' → '.join(path)}.")
        if module in parts:
            return
        source = read(module)
        for imported in IMPORT.findall(source):
            add(imported, (*path, module))
        parts[module] = EXPORT.sub("", IMPORT.sub("", source))
        left_over = LEFT_OVER.search(parts[module])
        if left_over:
            raise ValueError(f"{module} cannot be joined: {left_over.group()}")

    add(entry, ())
    return f"(() => {{\n{''.join(parts.values())}}})();\n"
