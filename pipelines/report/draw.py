"""Draws Vega-Lite specs as inline SVG, offline and the same in every process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import vl_convert
from markupsafe import Markup, escape

VEGA_LITE = "6.4"

# vl-convert carries its own copy of the fonts that the specs name, so text is measured alike.
_SIZE = re.compile(r'^<svg ([^>]*?)width="(\d+(?:\.\d+)?)" height="(\d+(?:\.\d+)?)"')
_ID = re.compile(r' id="([^"]+)"')
_ARIA = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')


def svg(spec: Mapping[str, Any], name: str, description: str) -> Markup:
    """Returns the chart as one image element with a text for those who cannot see it.

    Args:
        spec: A Vega-Lite spec whose data is in it.
        name: Of this drawing, unlike any other's on the page; starts the ids inside it.
        description: What the chart shows, as the alternative text.
    """
    drawn: str = vl_convert.vegalite_to_svg(dict(spec), vl_version=VEGA_LITE)
    # One image with one text reads better aloud than hundreds of unnamed marks.
    drawn = _named(_ARIA.sub("", drawn), name)
    size = _SIZE.match(drawn)
    if size is None:
        raise AssertionError("vl-convert no longer opens an SVG with its width and height")
    label = escape(description)
    drawn = _SIZE.sub(
        rf'<svg \1width="\2" height="\3" style="max-width:\2px" role="img" aria-label="{label}"',
        drawn,
        count=1,
    )
    return Markup(drawn)


def _named(drawn: str, name: str) -> str:
    """Numbers ids by drawing: the engine counts them over all it drew since the process began."""
    places = {found: f"{name}-{place}" for place, found in enumerate(_ID.findall(drawn), start=1)}
    return re.sub(
        r'( id="|url\(#)([^")]+)',
        lambda match: match[1] + places.get(match[2], match[2]),
        drawn,
    )
