"""Count the idioms, function names and sizes that STYLE and CONTRIBUTING limit.

`python -m tests.support.prose` prints the counts of the repository beside the reference and the goal.
`python -m tests.support.prose PATH...` lists every offending sentence, name and function in these files or folders.
`python -m tests.support.prose --root FOLDER` measures another checkout.

Prose is collected in two groups:

- ``docstrings``: docstrings, attribute docstrings and comments of `gnntrack/` and `segmenters/`;
- ``documents``: every other string of three words or more in the code (messages, help texts, descriptions of settings),
  and the Markdown files: README, CONTRIBUTING, CHANGELOG, `docs/`, and the READMEs of `segmenters/` and `benchmarks/`.

Code in backticks, code blocks, doctests and links count as one word each and are not searched.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .code_shape import describe_source, find_training, measure_code, parse_file, read_source  # noqa: TID252 - is support.prose to pytest
from .limits import AT_LEAST, GOALS, REFERENCE  # noqa: TID252

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gnntrack", "segmenters")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "segmenters/*.md", "benchmarks/*.md")
GROUPS = ("docstrings", "documents")

# One pattern a class of idioms; a space stands for any white space, a line break included. Uses that are plain English
# ("there is no", "what the user chose") count too: the limit is a fifth of the reference, not zero.
IDIOMS: dict[str, str] = {
    # code returns, reports or uses; it does not tell
    "tell": r"\b(?:tell|tells|told|telling)\b",
    # "is not a", "has no"
    "is no": r"\b(?:is|are) no\b(?! longer| more than| less than)",
    # "if None", "optional", "default", "excluded", "omitted"
    "left out": r"\b(?:leave|leaves|leaving|left)(?: \w+){0,2} out\b",
    # a clause as a noun: name the thing; questions do not count
    "what": r"\bwhat\b(?![^.!?]*\?)",
    # "again", "also", "equally", "entirely"
    "old words": r"\b(?:anew|besides|alike|altogether)\b",
    # code and data do not speak, believe or know
    "personified": r"\b(?:believed?|believes|by heart|says|said|saying|knows|knew|nobody|strangers?|speaks?|spoken)\b",
    # parent; merged and split; fill; repair
    "terms": r"\b(?:mothers?|glued?|glues|torn|mend(?:s|ed|ing)?|paint(?:s|ed|ing)?)\b",
}
# Words that have a plain substitute everywhere: again, parent, merged, split, repaired, weight, trained.
NEVER = frozenset(
    {
        "anew",
        "by heart",
        "mother",
        "mothers",
        "glued",
        "torn",
        "mended",
        "believed",
        "believes",
        "nobody",
        "stranger",
        "strangers",
    }
)
PATTERNS = {name: re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE) for name, pattern in IDIOMS.items()}


@dataclass(frozen=True)
class Passage:
    """A stretch of prose: a docstring, a run of comments, a message or a paragraph of a document."""

    path: Path
    line: int
    text: str
    group: str


@dataclass(frozen=True)
class Finding:
    """An idiom in a passage, with the sentence around it."""

    path: Path
    line: int
    kind: str
    word: str
    sentence: str
    group: str


@cache
def collect_passages(root: Path = ROOT) -> tuple[Passage, ...]:
    """Return all prose of a checkout, code first."""
    passages = [passage for path in code_files(root) for passage in code_passages(path)]
    return (*passages, *(passage for path in document_files(root) for passage in markdown_passages(path)))


def code_files(root: Path = ROOT) -> list[Path]:
    """Return the Python files of the packages, in order."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def document_files(root: Path = ROOT) -> list[Path]:
    """Return the Markdown files, in order."""
    return sorted({path for pattern in DOCUMENTS for path in root.glob(pattern)})


def code_passages(path: Path) -> Iterator[Passage]:
    """Yield docstrings and comments, then the other strings of three words or more."""
    text, nodes = parse_file(path)
    for line, comment in _comments(text):
        yield Passage(path, line, comment, "docstrings")
    docstrings, inside = set[int](), set[int]()
    for node in nodes:  # parents come before their children
        if isinstance(node, ast.Expr):
            docstrings.add(id(node.value))
        if id(node) in inside or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in ast.walk(node) if isinstance(part, ast.Constant | ast.JoinedStr))
        value = _string_value(node)
        if id(node) in docstrings:
            yield Passage(path, node.lineno, value, "docstrings")
        elif len(re.findall(r"[A-Za-z]{2,}", value)) >= 3:
            yield Passage(path, node.lineno, value, "documents")


def markdown_passages(path: Path) -> Iterator[Passage]:
    """Yield headings, table rows, list items and paragraphs, without code blocks."""
    text = re.sub(
        r"```.*?```", lambda match: re.sub(r"[^\n]", "", match.group()), path.read_text("utf-8"), flags=re.DOTALL
    )
    for match in re.finditer(r"^[ \t]*(?:[|#].*|[^|#\n].*(?:\n(?![ \t]*(?:[-*|#]|\d+\.)).+)*)", text, re.MULTILINE):
        yield Passage(path, 1 + text.count("\n", 0, match.start()), match.group(), "documents")


def _string_value(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each run of comments."""
    start, column, lines = 0, -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, at = token.start
        words = re.sub(r"^#+\s?", "", token.string)
        words = "" if re.match(r"noqa|type:|pragma|mypy", words) else re.sub(r"\bnoqa: [A-Z0-9, ]+( - )?", "", words)
        if lines and line == start + len(lines) and at == column:
            lines.append(words)
            continue
        if lines:
            yield start, "\n".join(lines)
        start, column, lines = line, at, [words]
    if lines:
        yield start, "\n".join(lines)


_CODE = re.compile(
    r"```.*?```|``[^`]*``|`[^`\n]*(?:\n[^`\n]*)?`|^[ \t]*>>>[^\n]*(?:\n[ \t]*\.\.\.[^\n]*)*|\]\([^)\n]*\)|https?://\S+",
    re.DOTALL | re.MULTILINE,
)


def _blank_code(text: str) -> str:
    """Replace code and links by one word of the same length, line breaks kept."""
    return _CODE.sub(lambda match: re.sub(r"[^\n]", "#", match.group()), text)


def count_words(passages: Iterable[Passage]) -> Counter[str]:
    """Return the number of words of each group."""
    words: Counter[str] = Counter()
    for passage in passages:
        words[passage.group] += len(re.findall(r"[A-Za-z]+(?:['-][A-Za-z]+)*|#+", _blank_code(passage.text)))
    return words


@cache
def find_all_idioms(root: Path = ROOT) -> tuple[Finding, ...]:
    """Return every idiom of a checkout."""
    return tuple(find_idioms(collect_passages(root)))


def find_idioms(passages: Iterable[Passage]) -> list[Finding]:
    """Return every idiom of the list, in the order of the passages."""
    findings = []
    for passage in passages:
        text = _blank_code(passage.text)
        for kind, pattern in PATTERNS.items():
            for match in pattern.finditer(text):
                line = passage.line + text.count("\n", 0, match.start())
                word = " ".join(match.group().lower().split())
                sentence = _sentence_around(passage.text, match.start(), match.end())
                findings.append(Finding(passage.path, line, kind, word, sentence, passage.group))
    return findings


def _sentence_around(text: str, begin: int, end: int) -> str:
    starts = [match.end() for match in re.finditer(r"[.;:?!]\s|\n\s*\n", text[:begin])]
    stop = re.search(r"[.;?!](?=\s|$)|\n\s*\n", text[end:])
    sentence = text[starts[-1] if starts else 0 : end + stop.end() if stop else len(text)]
    return " ".join(sentence.split())[:240]


def measure_prose(root: Path = ROOT) -> dict[str, float]:
    """Return the words of each group and the idioms per 1,000 words."""
    passages = collect_passages(root)
    words = count_words(passages)
    findings = find_all_idioms(root)
    counts = Counter((finding.group, finding.kind) for finding in findings)
    figures: dict[str, float] = {}
    for group in GROUPS:
        figures[f"{group}: words"] = words[group]
        for kind in IDIOMS:
            figures[f"{group}: {kind}"] = round(1000 * counts[group, kind] / max(words[group], 1), 3)
        figures[f"{group}: words never used"] = sum(f.word in NEVER and f.group == group for f in findings)
    return figures


def measure_shape(root: Path = ROOT) -> dict[str, float]:
    """Return the figures of the code: of each package, of everything that trains, and the length of `pipeline.py`."""
    figures: dict[str, float] = {}
    sources = {path: read_source(path) for path in code_files(root)}
    for package in PACKAGES:
        inside = [source for path, source in sources.items() if path.relative_to(root).parts[0] == package]
        figures |= {f"{package}: {name}": figure for name, figure in measure_code(inside).items()}
    training = [fn for path, source in sources.items() for fn in find_training(source, path.relative_to(root))]
    figures["training: most arguments"] = max(fn.arguments for fn in training)
    figures["gnntrack/pipeline.py: lines"] = sources[root / "gnntrack/pipeline.py"].lines
    return figures


def measure(root: Path = ROOT) -> dict[str, float]:
    """Return all figures of a checkout."""
    return measure_prose(root) | measure_shape(root)


def list_offences(paths: Iterable[Path]) -> list[str]:
    """Return a line for each idiom, name and size in the files or folders that a limit counts."""
    lines = []
    for file in sorted({file for path in paths for file in _files_below(path.resolve())}):
        is_code = file.suffix == ".py"
        findings = find_idioms((code_passages if is_code else markdown_passages)(file))
        lines += [describe_finding(finding) for finding in sorted(findings, key=lambda finding: finding.line)]
        if is_code:
            lines += [f"{_short(file)}:{line}: {text}" for line, text in describe_source(read_source(file))]
    return lines


def describe_finding(finding: Finding) -> str:
    """Return the place, the class, the words and the sentence of a finding, in one line."""
    return f"{_short(finding.path)}:{finding.line}: {finding.kind} ({finding.word}): {finding.sentence}"


def _files_below(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for ending in ("*.py", "*.md") for file in path.rglob(ending)]
    return [path]


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def format_table(figures: dict[str, float]) -> str:
    """Return the figures beside the reference and the goal, a line each."""
    lines = [f"{'':45s} {'now':>9s} {'reference':>9s} {'goal':>9s}"]
    for name, figure in figures.items():
        reference, goal = REFERENCE.get(name), GOALS.get(name)
        beside = " ".join(f"{'' if value is None else f'{value:g}':>9s}" for value in (reference, goal))
        missed = goal is not None and (figure < goal if name.endswith(AT_LEAST) else figure > goal)
        lines.append(f"{name:45s} {figure:9g} {beside}{'  to do' if missed else ''}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Print the table, or the offences of the files that were named."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.prose", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args()
    text = "\n".join(list_offences(options.paths)) if options.paths else format_table(measure(options.root.resolve()))
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
