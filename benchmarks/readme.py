"""Write the figures of ``results/*.json`` and of the shipped models into the pages, between their markers.

`PAGES` lists the pages; ``--check`` fails if their tables are not up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from correction_table import describe_corrections, describe_retraining
from detectors import format_detectors
from goals import format_means
from imperfect import describe_imperfect
from kind_images import SHIPPED_FOLD
from page_table import format_page
from points_table import TABLES
from record import REPOSITORY, RESULTS, format_table, sort_methods
from review_table import describe_review
from scale_table import SCALE_TABLES
from solver_scale import format_scale
from training_tables import TRAINING_TABLES

from gnntrack.plurals import count_noun
from segmenters.common.kinds import MODELS

PAGES = (
    "README.md",
    "docs/accuracy.md",
    "docs/correct.md",
    "docs/detect.md",
    "docs/choose.md",
    "docs/gnn.md",
    "docs/peers.md",
    "docs/points-accuracy.md",
    "docs/scale.md",
    "docs/segmentation.md",
    "docs/viewing.md",
    "gnntrack/weights/README.md",
    "segmenters/weights/README.md",
)
MODEL = REPOSITORY / "gnntrack" / "weights" / "model.json"
NOT_YET = "(not measured yet)"
SHOWN = {"LNK": 0, "BIO(1)": 1, "division_f1(1)": 2, "CHOTA": 3}
Figures = dict[tuple[str, str], dict[str, Any]]  # by sequence and twin
TITLES = ("linking (LNK)", "biology (BIO)", "divisions (F1)", "CHOTA")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, with exit code 1 if a page is old")
    check = parser.parse_args().check
    pages = [REPOSITORY / page for page in PAGES]
    texts = {page: page.read_text(encoding="utf-8") for page in pages if page.exists()}
    old = [page.name for page, text in texts.items() if fill_page(text) != text]
    if check:
        sys.exit(f"{', '.join(old)}: not the tables of benchmarks/results; run this program" if old else 0)
    for page, text in texts.items():
        page.write_text(fill_page(text), encoding="utf-8")


def fill_page(text: str) -> str:
    """Return a page with the tables of the committed results."""
    tables = {
        "accuracy": format_accuracy,
        "behind": describe_behind,
        "learned": format_short,
        "learned all": format_learned,
        "peers": format_peers,
        "speed": format_short_speed,
        "speed all": format_speed,
        **TRAINING_TABLES,
        "model": describe_model,
        "confidence": format_confidence,
        "detectors": lambda: format_detectors(_read("detectors")),
        "page": lambda: format_page(NOT_YET),
        "corrections": describe_corrections,
        "retrained": describe_retraining,
        "review": describe_review,
        "imperfect": describe_imperfect,
        "goals": lambda: format_means(_read("goals")["rows"]),
        "scale": lambda: format_scale(_read("solver_scale")),
        **{name: lambda make=make: make(_read("scale")) for name, make in SCALE_TABLES.items()},  # type: ignore[misc]
    }
    tables |= TABLES
    tables |= {
        "segmentation": format_segmentation,
        "inference": describe_inference,
        "kinds": format_kinds,
        "few_images": format_few_images,
        "images": format_images,
        "segmenter_speed": format_segmenter_speed,
    }
    shipped = ("unet_nuclei", "unet_cells", "diffusionnet")
    tables |= {name: lambda name=name: describe_segmenter(name) for name in shipped}  # type: ignore[misc]
    for name, made in tables.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = marked.sub(lambda found, made=made: f"{found[1]}{made()}\n{found[2]}", text)  # type: ignore[misc]
    return text


def format_accuracy() -> str:
    """Return a table of our figures and KOFT's, for the sequences that both have."""
    record, koft = _read("accuracy"), _read("koft")["rows"]
    rows = [row for row in record["rows"] if row["method"] == "hungarian" and row["sequence"] in koft]
    lines = [list(_format_accuracy_cells(row, koft[row["sequence"]][row["twin"]])) for row in rows]
    return format_table(["movie", *TITLES], lines)


def _format_accuracy_cells(row: dict[str, Any], peer: list[float | None]) -> Iterator[str]:
    yield f"{row['sequence']}, {row['twin']}"
    for name, column in SHOWN.items():
        ours, theirs = row["figures"][name], peer[column]
        if ours is None or theirs is None:
            yield "-"
            continue
        text = f"{ours:.3f}"
        yield f"{f'**{text}**' if round(ours, 4) >= theirs else text} ({theirs:.3f})"


def describe_behind() -> str:
    """Return a sentence per metric about the rows of the table of accuracy in which KOFT is ahead."""
    record, koft = _read("accuracy"), _read("koft")["rows"]
    rows = [row for row in record["rows"] if row["method"] == "hungarian" and row["sequence"] in koft]
    sentences = []
    for (name, column), title in zip(SHOWN.items(), TITLES, strict=True):
        behind, compared = {}, 0
        for row in rows:
            ours, theirs = row["figures"][name], koft[row["sequence"]][row["twin"]][column]
            if ours is not None and theirs is not None:
                compared += 1
                if round(ours, 4) < theirs:
                    behind[f"{row['sequence']}, {row['twin']}"] = (theirs - ours, ours, theirs)
        if behind:
            worst = max(behind, key=lambda movie: behind[movie][0])
            _, ours, theirs = behind[worst]
            most = f"most on {worst} ({ours:.3f} against {theirs:.3f})"
            sentences.append(f"- {title}: `hungarian` is behind on {len(behind)} of {compared} rows, {most}.")
        else:
            sentences.append(f"- {title}: `hungarian` is at least as good on all {compared} rows.")
    return "\n".join(sentences)


SHORT = {"gnn": "`gnn`", "hungarian": "`hungarian`", "koft": "KOFT", "laptrack": "laptrack", "btrack": "btrack"}


def format_short() -> str:
    """Return the means of the protocol left-out for the methods of the README, and the best method of each metric."""
    if not (RESULTS / "learned.json").exists():
        return NOT_YET
    found: dict[str, Figures] = {}
    for row in _read_learned():
        if "figures" in row and row["protocol"] == "left-out" and row["method"] in SHORT:
            found.setdefault(row["method"], {})[row["sequence"], row["twin"]] = row["figures"]
    order = [method for method in SHORT if method in found]
    means = {method: _average(found[method]) for method in order}
    number = max(map(len, found.values()))
    lines = []
    for method in order:
        few = len(found[method])
        about = SHORT[method] + ("" if few == number else f" ({few} of the {number} movies)")
        lines.append([about, *("-" if each is None else f"{each:.3f}" for each in means[method])])
    titles = ["linking error", "biology", "division F1", "CHOTA"]
    complete = [method for method in order if len(found[method]) == number]
    best = []
    for k, title in enumerate(titles):
        values = {method: means[method][k] for method in complete if means[method][k] is not None}
        if values:
            best.append(f"{SHORT[(min if k == 0 else max)(values, key=values.__getitem__)]} ({title})")
    text = f"{format_table(['method', *titles], lines)}\n\nThe best of each column: {', '.join(best)}."
    return f"{text} {_compare_with_koft(found)}" if {"gnn", "hungarian", "koft"} <= found.keys() else text


def _compare_with_koft(found: dict[str, Figures]) -> str:
    """Return on how many movies our methods are behind KOFT in linking and in CHOTA."""
    behind = {}
    for method in ("gnn", "hungarian"):
        both = [(found[method][movie], found["koft"][movie]) for movie in found[method].keys() & found["koft"].keys()]
        for name in ("LNK", "CHOTA"):
            behind[method, name] = sum(round(mine[name], 4) < round(theirs[name], 4) for mine, theirs in both)
    counts = " and ".join(
        f"`{method}` on {behind[method, 'LNK']} (linking) and {behind[method, 'CHOTA']} (CHOTA)"
        for method in ("gnn", "hungarian")
    )
    return f"KOFT is ahead of {counts} of the {len(found['koft'])} movies."


def format_peers() -> str:
    """Return on how many movies each peer is ahead of each of our methods, by metric, in both protocols."""
    found: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {}
    for row in _read_learned():
        if "figures" in row and row["method"] in SHORT:
            movie = (row["protocol"], row["sequence"], row["twin"])
            found.setdefault(row["method"], {})[movie] = row["figures"]
    titles = ["linking", "biology", "division F1", "CHOTA"]
    lines = []
    for peer in [method for method in SHORT if method not in {"gnn", "hungarian"} and method in found]:
        for mine in ("gnn", "hungarian"):
            counts = [_count_ahead(found[peer], found[mine], name) for name in SHOWN]
            lines.append([f"{SHORT[peer]} against `{mine}`", *counts])
    return format_table(["ahead on", *titles], lines)


def _count_ahead(theirs: dict[tuple[str, ...], dict[str, Any]], mine: dict[tuple[str, ...], Any], name: str) -> str:
    both = [(theirs[movie][name], mine[movie][name]) for movie in theirs.keys() & mine.keys()]
    defined = [(one, other) for one, other in both if one is not None and other is not None]
    return f"{sum(round(one, 4) > round(other, 4) for one, other in defined)} of {len(defined)}"


def _average(figures: Figures) -> list[float | None]:
    """Return the mean error in linking, and the means of the other metrics; None where a metric is not defined."""
    means: list[float | None] = [fmean(1 - each["LNK"] for each in figures.values())]
    for name in list(SHOWN)[1:]:
        values = [each[name] for each in figures.values() if each[name] is not None]
        means.append(fmean(values) if values else None)
    return means


def format_learned() -> str:
    """Return a table of learned and other methods: means over the movies of each protocol."""
    if not (RESULTS / "learned.json").exists():
        return NOT_YET
    rows = [row for row in _read_learned() if "figures" in row]
    lines = []
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        found: dict[str, Figures] = {}
        for row in rows:
            if row["protocol"] == protocol:
                found.setdefault(row["method"], {})[row["sequence"], row["twin"]] = row["figures"]
        lines += [
            [f"{protocol}, {method}", *_compute_means(found[method], found.get("koft", {}))]
            for method in sort_methods(found)
        ]
    return format_table(["protocol, method", "movies", "linking error (1 - LNK)", "/ KOFT's", *TITLES[1:]], lines)


def _compute_means(mine: Figures, koft: Figures) -> Iterator[str]:
    """Yield the number of movies, the mean error in linking, its ratio to KOFT's on the same movies, other means."""
    yield str(len(mine))
    yield f"{fmean(1 - each['LNK'] for each in mine.values()):.4f}"
    both = mine.keys() & koft.keys()
    error, theirs = (sum(1 - figures[movie]["LNK"] for movie in both) for figures in (mine, koft))
    yield f"{error / theirs:.2f}" if theirs else "-"
    for name in list(SHOWN)[1:]:
        values = [each[name] for each in mine.values() if each[name] is not None]
        yield f"{fmean(values):.3f}" if values else "-"


def format_confidence() -> str:
    """Return a table of the calibration errors of both methods."""
    if not (RESULTS / "confidence.json").exists():
        return NOT_YET
    shown = ("links", "doubtful links", "divisions", "tracks")
    lines, text = [], ""
    for method, about in _read("confidence")["methods"].items():
        strict = about["reliability_if_unexplained_links_are_wrong"]
        for kind in shown:
            found = about["reliability"][kind]
            figures = (f"{found['mean_said']:.3f}", f"{found['mean_right']:.3f}", f"{found['ece']:.4f}")
            lines.append([f"`{method}`, {kind}", str(sum(found["count"])), *figures, f"{strict[kind]['ece']:.4f}"])
        if unfinished := about.get("unfinished_networks"):
            text += f"\n\nNetworks before the end of their training: without {', '.join(unfinished)}."
    return format_table(["", "number", "mean confidence", "right", "calibration error", "strict"], lines) + text


def format_speed() -> str:
    """Return a table of the measured speed and memory."""
    lines = [[check["what"], f"{check['measured']:.3g} {check['unit']}"] for check in _read("speed")["checks"]]
    return format_table(["quantity", "measured"], lines)


SHORT_SPEED = {  # the checks of benchmarks/speed.py that the README shows, in words
    "gnntrack track --method hungarian against KOFT, Fluo-N2DL-HeLa 01, processes": "`gnntrack track` on the movie "
    "N2DL-HeLa, from start to exit, times as fast as KOFT",
    "gnntrack track --method gnn against KOFT, Fluo-N2DL-HeLa 01, processes": "the same with `--method gnn`",
    "1 000 000 cells in 500 frames, time": "a movie with a million cells, time",
    "1 000 000 cells in 500 frames, memory": "a movie with a million cells, memory",
}


def format_short_speed() -> str:
    """Return the measured speed and memory that the README shows."""
    checks = {check["what"]: f"{check['measured']:.3g} {check['unit']}" for check in _read("speed")["checks"]}
    return format_table(["", "measured"], [[SHORT_SPEED[what], checks[what]] for what in SHORT_SPEED if what in checks])


def describe_model() -> str:
    """Return a table about the shipped model: training data, size, accuracy."""
    if not MODEL.exists():
        return NOT_YET
    about = json.loads(MODEL.read_text(encoding="utf-8"))
    training = about["training"]
    best, plan = training["best"], training["settings"]
    lines = [
        ["network", about["kind"]],
        ["learnt from", ", ".join(training["data"])],
        ["versions of movies", str(training["versions"])],
        [
            "cells, candidate links, divisions in them",
            f"{training['cells']}, {training['links']}, {training['divisions']}",
        ],
        ["steps, of which the best", f"{plan['steps']}, {best['step']}"],
        ["frames held out: link error", f"{best['validation_link_error']:.4f}"],
        ["frames held out: division F1", f"{best['validation_division_f1']:.3f}"],
        ["temperature", f"{about['temperature']:.2f}"],
        ["expected calibration error of links", f"{training['calibration']['ece']:.4f}"],
        ["sha256 of the weights", f"`{about['sha256']}`"],
    ]
    return format_table(["", "shipped model"], lines)


REPORT = {  # the internship report's best Dice and IoU, Tables 1 and 2
    ("unet", "Fluo-N2DH-GOWT1 01"): (0.9780, 0.9570),
    ("unet, not normalised", "Fluo-N2DH-GOWT1 01"): (0.9772, 0.9555),
    ("deeplab", "Fluo-N2DH-GOWT1 01"): (0.9774, 0.9558),
    ("fcn", "Fluo-N2DH-GOWT1 01"): (0.9390, 0.8851),
    ("maskrcnn", "Fluo-N2DH-GOWT1 01"): (0.8554, 0.7473),
    ("unet", "Fluo-C2DL-MSC 01"): (0.8891, 0.8003),
    ("unet, not normalised", "Fluo-C2DL-MSC 01"): (0.8580, 0.7513),
    ("deeplab", "Fluo-C2DL-MSC 01"): (0.8919, 0.8049),
    ("fcn", "Fluo-C2DL-MSC 01"): (0.8558, 0.7479),
    ("maskrcnn", "Fluo-C2DL-MSC 01"): (0.3327, 0.1995),
    ("unet", "Warwick QU"): (0.8802, 0.7860),
    ("unet, not normalised", "Warwick QU"): (0.8863, 0.7958),
    ("deeplab", "Warwick QU"): (0.8929, 0.8066),
    ("fcn", "Warwick QU"): (0.9129, 0.8397),
}


def format_segmentation() -> str:
    """Return a table of the accuracy of segmenters, with the report's figures in brackets."""
    if not (RESULTS / "segmentation.json").exists():
        return NOT_YET
    lines = []
    order = ["folds", "report", "glands", "colours", "overfit", "halves", "chain", "stacks", "cho"]
    rows = [row for row in _read("segmentation")["rows"] if row["task"] not in {"inference", "images"}]
    for row in sorted(rows, key=lambda row: order.index(row["task"].split(" ")[0])):
        kind, _, network = row["task"].partition(" ")
        report = REPORT.get((network, row["data"])) if kind in {"folds", "report", "glands"} else None
        dice, iou = (f" ({value:.3f})" for value in report) if report else ("", "")
        what = f"{kind}, {network or row.get('segmenter', 'unet')}"
        whole = row.get("complete_dice")
        time = f"{row['train_seconds'] / 60:.0f} min, {_describe_hardware(row)}" if "train_seconds" in row else "-"
        figures = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("seg", "f1")]
        tracked = row.get("tracked_TRA")
        lines.append(
            [
                *(what, row["data"], f"{row['dice']:.3f}{dice}", f"{row['iou']:.3f}{iou}"),
                *(
                    "-" if whole is None else f"{whole:.3f}",
                    *figures,
                    "-" if tracked is None else f"{tracked:.3f}",
                    time,
                ),
            ]
        )
    head = ["task", "movie", "Dice (report)", "IoU (report)", "Dice, complete", "SEG", "F1", "TRA", "training"]
    return format_table(head, lines)


def _describe_hardware(row: dict[str, Any]) -> str:
    """Return the hardware of a training in few words."""
    processor = re.sub(r"\((R|TM)\)|Processor|CPU|@.*", "", row["about"]["machine"]["processor"])
    return f"a core of {' '.join(processor.split())}"


def format_segmenter_speed() -> str:
    """Return a table of the time of segmenters, and of that of an earlier version."""
    if not (RESULTS / "segmenter_speed.json").exists():
        return NOT_YET
    lines = []
    for row in _read("segmenter_speed")["rows"]:
        share = row["now"] / row["before"]
        size = f"{row['megapixels']:.1f}"
        lines.append([f"`{row['segmenter']}`", row["images"], size, f"{row['now']:.2f} s", f"{share:.2f}"])
    return format_table(["segmenter", "images", "megapixels", "time", "fraction of the time before"], lines)


def format_images() -> str:
    """Return a table of movies from images to tracks."""
    shown = ("DET", "SEG", "TRA", "LNK", "CHOTA")
    lines = [
        [row["data"], f"`{row['segmenter']}`", *("-" if row[key] is None else f"{row[key]:.3f}" for key in shown)]
        for row in _read("segmentation")["rows"]
        if row["task"] == "images"
    ]
    return format_table(["movie", "segmenter", *shown], lines) if lines else NOT_YET


def format_kinds() -> str:
    """Return a table of the accuracy of segmenters by kind of microscopy."""
    if not (RESULTS / "kinds.json").exists():
        return NOT_YET
    return format_kind_rows(_read("kinds")["rows"])


def format_kind_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return the means by kind of microscopy, segmenter and folds as a table."""
    lines = []
    for kind, method, other in sorted({_group_kind(row) for row in rows}):
        some = [row for row in rows if _group_kind(row) == (kind, method, other)]
        ratios = [row["estimate"] / row["diameter"] for row in some if row["estimate"] and row["diameter"]]
        near = f"{fmean(0.8 <= ratio <= 1.25 for ratio in ratios):.0%}" if ratios else "-"
        f1, ap = (fmean(row[key] for row in some) for key in ("f1", "ap"))
        folds = count_noun(len({row["fold"] for row in some}), "other fold") if other else "shipped models"
        lines.append([kind, f"`{method}`", folds, str(len(some)), f"{f1:.3f}", f"{ap:.3f}", near])
    return format_table(["kind", "segmenter", "kept out of", "images", "F1", "AP", "size within 25 %"], lines)


def _group_kind(row: dict[str, Any]) -> tuple[str, str, bool]:
    return row["kind"], row["method"], row["fold"] != SHIPPED_FOLD


def format_few_images() -> str:
    """Return a table of trainings from few images."""
    if not (RESULTS / "few_images.json").exists():
        return NOT_YET
    lines = []
    for row in _read("few_images")["rows"]:
        sizes = [str(row[key]) for key in ("learnt", "learnt_cells", "tested")]
        scores = [f"{row[key]:.3f}" for key in ("f1_before", "f1")]
        lines.append([row["kind"], row["start"], *sizes, *scores, f"{row['cpu_seconds'] / 60:.0f} min"])
    return format_table(["kind", "start", "images", "cells", "tested", "F1 before", "F1", "time, one core"], lines)


def describe_inference() -> str:
    """Return a table of time and memory of the shipped U-Net."""
    if not (RESULTS / "segmentation.json").exists():
        return NOT_YET
    rows = [row for row in _read("segmentation")["rows"] if row["task"] == "inference"]
    lines = [[row["data"], f"{row['seconds']:.2f} s", f"{row['megabytes']} MB"] for row in rows]
    return format_table(["image", "time, two threads", "memory beyond what was loaded"], lines)


def describe_segmenter(name: str) -> str:
    """Return a table about a shipped segmenter: training data, size, validation."""
    place = REPOSITORY / "segmenters" / "weights" / name / "model.json"
    if not place.exists():
        return NOT_YET
    about = json.loads(place.read_text(encoding="utf-8"))
    training = about["training"]
    best = training["best"]
    figures = [key for key in ("dice", "seg", "f1") if best.get(f"validation_{key}") is not None]
    lines = [
        ["network", f"{about['kind']}, {', '.join(f'{key} {value}' for key, value in about['options'].items())}"],
        ["learnt from", ", ".join(list_sources(training["data"])) or "-"],
        ["simulated movies", str(sum(each.startswith(("simulated", "unstained")) for each in training["data"]))],
        ["images", str(training["images"])],
        ["steps, of which the best", f"{training['settings']['steps']}, {best['step']}"],
        *([f"frames held out: {key}", f"{best[f'validation_{key}']:.3f}"] for key in figures),
        *describe_held_out(name),
        ["sha256 of the weights", f"`{about['sha256']}`"],
    ]
    return format_table(["", "shipped model"], lines)


def list_sources(movies: Sequence[str]) -> list[str]:
    """Return the data sets that a model has learnt from, without parts, groups and simulations.

    >>> list_sources(["A/01, part 1", "A/01, part 2", "B stained 0", "B stained 0, green", "simulated 2D 3"])
    ['A/01', 'B stained']
    """
    real = [movie for movie in movies if not movie.startswith(("simulated", "unstained"))]
    return list(dict.fromkeys(re.sub(r"(, part)? \d+$", "", movie.removesuffix(", green")) for movie in real))


def describe_held_out(name: str) -> Iterator[list[str]]:
    """Yield the scores of a shipped model on images that it has not seen, by kind of microscopy."""
    if not (RESULTS / "kinds.json").exists():
        return
    rows = _read("kinds")["rows"]
    for kind in sorted(kind for kind, model in MODELS.items() if f"unet_{model}" == name):
        some = [row for row in rows if row["kind"] == kind and row["method"] == "unet" and row["fold"] == SHIPPED_FOLD]
        if some:
            f1, ap = (fmean(row[key] for row in some) for key in ("f1", "ap"))
            yield [f"{kind}, {count_noun(len(some), 'image')} held out", f"F1 {f1:.3f}, AP {ap:.3f}"]


def _read_learned() -> list[dict[str, Any]]:
    """Return the rows of learned methods and peers.

    A row of laptrack or btrack without the settings of `peer_settings.py` is not returned: it was measured with
    settings that find no gaps (laptrack) or that were published for other images (btrack).
    """
    rows: list[dict[str, Any]] = _read("learned")["rows"]
    needed = {"laptrack": "link", "btrack": "radius"}
    return [row for row in rows if row["method"] not in needed or needed[row["method"]] in row.get("notes", {})]


def _read(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


if __name__ == "__main__":
    main()
