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
_ARIA = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')


def svg(spec: Mapping[str, Any], description: str) -> Markup:
    """Returns the chart as one image element with a text for those who cannot see it.

    Args:
        spec: A Vega-Lite spec whose data is in it.
        description: What the chart shows, as the alternative text.
    """
    drawn: str = vl_convert.vegalite_to_svg(dict(spec), vl_version=VEGA_LITE)
    # One image with one text reads better aloud than hundreds of unnamed marks.
    drawn = _ARIA.sub("", drawn)
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
