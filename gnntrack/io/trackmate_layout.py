"""The parts of a TrackMate file that are not spots, edges or tracks: declarations of features, and settings.

Names of elements, attributes and features are those of TrackMate's reader (``TmXmlReader``). It needs each element that
is written here: without one of the filters it stops, and without the others it reports an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gnntrack.types import Cells

__all__ = ["EDGE_FEATURES", "SPOT_FEATURES", "TRACK_FEATURES", "Feature", "declare_features", "list_settings"]


class Feature(NamedTuple):
    """A value that spots, edges or tracks have."""

    key: str
    about: str
    dimension: str = "NONE"
    """A name of TrackMate's enumeration ``Dimension``; any other stops its reader."""
    whole: bool = False
    """Whether its values are integers."""


SPOT_FEATURES = (
    Feature("QUALITY", "Quality", "QUALITY"),
    Feature("POSITION_X", "X", "POSITION"),
    Feature("POSITION_Y", "Y", "POSITION"),
    Feature("POSITION_Z", "Z", "POSITION"),
    Feature("POSITION_T", "T", "TIME"),
    Feature("FRAME", "Frame", whole=True),
    Feature("RADIUS", "Radius", "LENGTH"),
    Feature("VISIBILITY", "Visibility", whole=True),
    Feature("GNNTRACK_TRACK", "Track in gnntrack", whole=True),
    Feature("GNNTRACK_LABEL", "Label in the masks", whole=True),
)
EDGE_FEATURES = (
    Feature("SPOT_SOURCE_ID", "Source spot ID", whole=True),
    Feature("SPOT_TARGET_ID", "Target spot ID", whole=True),
    Feature("LINK_COST", "Edge cost", "COST"),
    Feature("GNNTRACK_CONFIDENCE", "Confidence of the link"),
    Feature("GNNTRACK_FUSION", "Fusion into another cell", whole=True),
    Feature("SPEED", "Speed", "VELOCITY"),
    Feature("DISPLACEMENT", "Displacement", "LENGTH"),
    Feature("EDGE_TIME", "Edge time", "TIME"),
    Feature("EDGE_X_LOCATION", "Edge X", "POSITION"),
    Feature("EDGE_Y_LOCATION", "Edge Y", "POSITION"),
    Feature("EDGE_Z_LOCATION", "Edge Z", "POSITION"),
)
TRACK_FEATURES = (
    Feature("TRACK_INDEX", "Track index", whole=True),
    Feature("TRACK_ID", "Track ID", whole=True),
    Feature("NUMBER_SPOTS", "Number of spots in track", whole=True),
    Feature("NUMBER_GAPS", "Number of gaps", whole=True),
    Feature("NUMBER_SPLITS", "Number of split events", whole=True),
    Feature("NUMBER_MERGES", "Number of merge events", whole=True),
    Feature("NUMBER_COMPLEX", "Number of complex points", whole=True),
    Feature("LONGEST_GAP", "Longest gap", whole=True),
    Feature("TRACK_DURATION", "Track duration", "TIME"),
    Feature("TRACK_START", "Track start", "TIME"),
    Feature("TRACK_STOP", "Track stop", "TIME"),
    Feature("TRACK_DISPLACEMENT", "Track displacement", "LENGTH"),
    Feature("TRACK_X_LOCATION", "Track mean X", "POSITION"),
    Feature("TRACK_Y_LOCATION", "Track mean Y", "POSITION"),
    Feature("TRACK_Z_LOCATION", "Track mean Z", "POSITION"),
    Feature("TRACK_MEAN_SPEED", "Track mean speed", "VELOCITY"),
    Feature("TRACK_MAX_SPEED", "Track max speed", "VELOCITY"),
    Feature("TRACK_MIN_SPEED", "Track min speed", "VELOCITY"),
)
_DISPLAY = {
    "name": "CurrentDisplaySettings",
    "spotUniformColor": "204, 51, 204, 255",
    "spotColorByType": "TRACKS",
    "spotColorByFeature": "TRACK_INDEX",
    "spotDisplayRadius": 1.0,
    "spotDisplayedAsRoi": True,
    "spotMin": 0.0,
    "spotMax": 10.0,
    "spotShowName": False,
    "trackMin": 0.0,
    "trackMax": 10.0,
    "trackColorByType": "TRACKS",
    "trackColorByFeature": "TRACK_INDEX",
    "trackUniformColor": "204, 204, 51, 255",
    "undefinedValueColor": "0, 0, 0, 255",
    "missingValueColor": "89, 89, 89, 255",
    "highlightColor": "51, 230, 51, 255",
    "trackDisplayMode": "LOCAL_BACKWARD",
    "colormap": "Jet",
    "limitZDrawingDepth": False,
    "drawingZDepth": 10.0,
    "fadeTracks": True,
    "fadeTrackRange": 30,
    "useAntialiasing": True,
    "spotVisible": True,
    "trackVisible": True,
    "font": {"name": "Arial", "style": 1, "size": 12},
    "lineThickness": 1.0,
    "selectionLineThickness": 4.0,
    "trackschemeBackgroundColor1": "128, 128, 128, 255",
    "trackschemeBackgroundColor2": "192, 192, 192, 255",
    "trackschemeForegroundColor": "0, 0, 0, 255",
    "trackschemeDecorationColor": "0, 0, 0, 255",
    "trackschemeFillBox": False,
    "spotFilled": False,
    "spotTransparencyAlpha": 1.0,
}  # families in different colours; TrackMate's reader expects every key


def declare_features(spots: Iterable[Feature]) -> Iterator[str]:
    """Yield the lines that declare the features of spots, edges and tracks."""
    yield "    <FeatureDeclarations>"
    for kind, features in (("Spot", spots), ("Edge", EDGE_FEATURES), ("Track", TRACK_FEATURES)):
        yield f"      <{kind}Features>"
        for key, about, dimension, whole in features:
            words = quoteattr(about)
            yield (
                f'        <Feature feature="{key}" name={words} shortname={words} dimension="{dimension}" '
                f'isint="{str(whole).lower()}" />'
            )
        yield f"      </{kind}Features>"
    yield "    </FeatureDeclarations>"


def list_settings(cells: Cells, interval: float | None) -> Iterator[str]:
    """Yield the lines after the model: size of the images, filters that keep everything, and the display."""
    deep, height, width = (1, *cells.shape)[-3:]
    z, y, x = (1.0, *cells.spacing)[-3:]
    yield "  <Settings>"
    yield (
        f'    <ImageData filename="" folder="" width="{width}" height="{height}" nslices="{deep}" '
        f'nframes="{cells.n_frames}" pixelwidth="{x:.9g}" pixelheight="{y:.9g}" voxeldepth="{z:.9g}" '
        f'timeinterval="{interval or 1:.9g}" />'
    )
    yield (
        f'    <BasicSettings xstart="0" xend="{width - 1}" ystart="0" yend="{height - 1}" zstart="0" '
        f'zend="{deep - 1}" tstart="0" tend="{cells.n_frames - 1}" />'
    )
    yield '    <DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="5.0" />'
    yield '    <InitialSpotFilter feature="QUALITY" value="0.0" isabove="true" />'
    yield "    <SpotFilterCollection />"
    yield '    <TrackerSettings TRACKER_NAME="MANUAL_TRACKER" />'
    yield "    <TrackFilterCollection />"
    yield "    <AnalyzerCollection><SpotAnalyzers /><EdgeAnalyzers /><TrackAnalyzers /></AnalyzerCollection>"
    yield "  </Settings>"
    yield '  <GUIState state="ConfigureViews" />'
    yield f"  <DisplaySettings>{json.dumps(_DISPLAY, indent=2)}</DisplaySettings>"
