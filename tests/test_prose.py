"""The prose stays plain: banned idioms stay below their limits in the code, its messages and the documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import limits, prose


@pytest.fixture(scope="module")
def findings() -> tuple[prose.Finding, ...]:
    """Every banned idiom of the repository."""
    return prose.find_all_idioms()


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    """Idioms per 1,000 words."""
    return prose.measure_prose()


@pytest.mark.parametrize("kind", prose.IDIOMS)
@pytest.mark.parametrize("group", prose.GROUPS)
def test_an_idiom_stays_below_its_limit(group, kind, figures, findings):
    name = f"{group}: {kind}"
    found = [prose.describe_finding(finding) for finding in findings if (finding.group, finding.kind) == (group, kind)]
    assert figures[name] <= limits.GOALS[name], _report(name, figures[name], found)


@pytest.mark.parametrize("group", prose.GROUPS)
def test_some_words_are_never_used(group, findings):
    name = f"{group}: words never used"
    found = [prose.describe_finding(each) for each in findings if each.word in prose.NEVER and each.group == group]
    assert len(found) <= limits.GOALS[name], _report(name, len(found), found)


def _report(name: str, figure: float, found: list[str]) -> str:
    return "\n".join([f"{name}: {figure:g}, at most {limits.GOALS[name]:g}; rewrite some of these:", *found])


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("tell", "The file tells the spacing."),
        ("is no", "A point is no\n    cell."),
        ("left out", "Such cells are left out, and it leaves them out."),
        ("what", "Return what a movie holds."),
        ("old words", "The run starts anew."),
        ("personified", "Learnt by heart."),
        ("terms", "The mother has two daughters."),
    ],
)
def test_each_idiom_is_found(kind, sentence):
    passage = prose.Passage(Path("a.py"), 7, sentence, "docstrings")
    assert {finding.kind for finding in prose.find_idioms([passage])} == {kind}


@pytest.mark.parametrize(
    "sentence",
    [
        "What is a cell?",
        "Set `told` to `what`.",
        "It is no longer than a frame.",
        ">>> tell(mother)",
        "Foretell nothing.",
    ],
)
def test_questions_code_and_other_words_do_not_count(sentence):
    assert prose.find_idioms([prose.Passage(Path("a.py"), 1, sentence, "docstrings")]) == []


def test_docstrings_comments_messages_and_help_are_collected(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        '"""Module\nof two lines."""\n\nSPACING = 1.0\n"""Size of a pixel."""\n\n'
        "# first line\n# that tells\nname = 'ctc'\n\n"
        'def read(path):  # opens\n    """Read it."""\n    raise ValueError(f"no frame {path} in the movie")\n'
    )
    passages = {(passage.group, passage.line, passage.text) for passage in prose.code_passages(file)}
    assert passages == {
        ("docstrings", 1, "Module\nof two lines."),
        ("docstrings", 5, "Size of a pixel."),
        ("docstrings", 7, "first line\nthat tells"),
        ("docstrings", 11, "opens"),
        ("docstrings", 12, "Read it."),
        ("documents", 13, "no frame X in the movie"),
    }
    assert [finding.line for finding in prose.find_idioms(prose.code_passages(file))] == [8]


def test_documents_are_read_by_paragraph_and_without_code(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("# What\n\nIt runs\nanew.\n\n```\ntell\n```\n\n- told\n- kept\n\n| a | besides |\n")
    found = prose.find_idioms(prose.markdown_passages(file))
    assert [(finding.line, finding.word) for finding in found] == [
        (1, "what"),
        (4, "anew"),
        (10, "told"),
        (13, "besides"),
    ]


def test_the_goals_are_a_fifth_of_the_reference():
    for group in prose.GROUPS:
        for kind in prose.IDIOMS:
            assert limits.GOALS[f"{group}: {kind}"] <= limits.REFERENCE[f"{group}: {kind}"] / 5 + 0.005
