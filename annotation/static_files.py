"""Static files whose names carry a hash of their content; our scripts made small."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import minify
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile, File
from whitenoise.storage import CompressedManifestStaticFilesStorage

OWN_SCRIPTS = "js/"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |const |let )", re.MULTILINE)
DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE
)
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

    def file_hash(
        self, name: str | None, content: "File[bytes] | None" = None
    ) -> str | None:
        """Of what is served, so that a change in a module renames its script too.

        The manifest's own hash has no name.
        """
        served = as_served(name, content) if name and content else content
        hashed: str | None = super().file_hash(name, served)
        return hashed

    def _save(self, name: str, content: "File[bytes]") -> str:
        """A script of ours is served with what it imports: a browser far away would
        ask for module after module, and apart they compress a quarter worse.
        """
        return str(super()._save(name, as_served(name, content)))


def as_served(name: str, content: "File[bytes]") -> "File[bytes]":
    """A script of ours with its modules and without comments; other files as they are.

    One that imports nothing stays a module, and others import it once they need it.
    `name` may have a hash in it; only its folder counts, where the modules are.
    """
    if not (name.startswith(OWN_SCRIPTS) and name.endswith(".js")):
        return content
    content.seek(0)
    folder, _, entry = name.rpartition("/")
    source = b"".join(content.chunks()).decode()
    script = source
    if IMPORT.search(source):
        script = joined(
            entry, lambda module: source if module == entry else _source(folder, module)
        )
    return ContentFile(small(script).encode())


def small(script: str) -> str:
    """The same script in few characters. Errors: MinifyError for what is no script."""
    return str(minify.string("application/javascript", script))


def _source(folder: str, module: str) -> str:
    found = finders.find(f"{folder}/{module}")
    if not isinstance(found, str):
        raise FileNotFoundError(f"No static file {folder}/{module}.")
    return Path(found).read_text()


def joined(entry: str, read: Callable[[str], str]) -> str:
    """The modules that `entry` needs and itself, in one function: one scope.

    `read` gives the source of a module of the same folder. Each stands after those it
    imports. Errors: ValueError for modules that import each other, for a name that
    two of them declare (the second function would silently take the place of the
    first), and for any import or export but `import { a, b } from "./c.js";` and
    `export` before a declaration.
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
    _check_no_name_comes_twice(parts)
    return f"(() => {{\n{''.join(parts.values())}}})();\n"


def _check_no_name_comes_twice(parts: Mapping[str, str]) -> None:
    declared_in: dict[str, str] = {}
    for module, source in parts.items():
        for name in DECLARED.findall(source):
            if name in declared_in:
                both = f"{declared_in[name]} and {module}"
                raise ValueError(f"{both} cannot be joined: both declare {name}.")
            declared_in[name] = module
