"""Values with parts: a place on the map, and JSON of any shape."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any, NoReturn

from core.property_type import Editor, Invalid, Operator, PropertyType, Rendered, Storage
from core.text import clean, snippet
from core.types.numbers import decimal_of, written
from core.types.texts import one_line

LONGEST_LABEL = 200
_LONGEST_TYPED = 1_000
_NO_PLACE = "takes a latitude and a longitude, such as 28.6139, 77.2090"
_LATITUDE, _LONGITUDE, _LABEL = ("lat", "latitude"), ("lng", "lon", "long", "longitude"), ("label", "name")
_NUMBER = r"[+-]?[0-9]{1,3}(?:\.[0-9]{0,20})?"
_TYPED = re.compile(rf"({_NUMBER})(?:\s*[,;]\s*|\s+)({_NUMBER})(?:[\s,;]+(.*))?")

LONGEST_JSON = 20_000
"""In bytes, encoded as UTF-8 and without spaces."""
DEEPEST = 20
_MOST_NODES = LONGEST_JSON  # each takes a byte at least
_LONGEST_JSON_TYPED = 200_000
_NO_JSON = "takes an object or a list, as JSON"


class Location(PropertyType):
    """A point on the map, to a tenth of a metre, and what it is called: `{"lat": 28.6, "lng": 77.2}`."""

    name = "location"
    label = "Location"
    icon = "pin"
    storage = Storage.JSON
    editor = Editor.LOCATION
    operators = (Operator.WITHIN,)
    indexed = False

    def parse(self, given: Any) -> dict[str, Any]:
        """Take latitude, longitude and a label: as an object, as JSON text, or typed one after the other.

        A bare list is refused: GeoJSON puts the longitude first. What else an object holds is not kept.
        """
        latitude, longitude, label = _parts(given)
        lat, lng = decimal_of(latitude), decimal_of(longitude)
        if lat is None or lng is None:
            raise Invalid(_NO_PLACE)
        if abs(lat) > 90 or abs(lng) > 180:
            raise Invalid("takes a latitude between -90 and 90 and a longitude between -180 and 180")
        value: dict[str, Any] = {"lat": round(float(lat), 6) + 0.0, "lng": round(float(lng), 6) + 0.0}
        if label:
            value["label"] = label
        return value

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return the label, else the coordinates, which the title has in any case."""
        at = f"{written(value['lat'])}, {written(value['lng'])}"
        return Rendered(value.get("label") or at, title=at)

    def typed(self, value: Any) -> str:
        """Return `28.6139, 77.209 Saket, Delhi`."""
        at = f"{written(value['lat'])}, {written(value['lng'])}"
        return f"{at} {value['label']}" if "label" in value else at


def _parts(given: Any) -> tuple[Any, Any, str]:
    if isinstance(given, str):
        text = one_line(clean(given))
        if not text.startswith("{"):
            if len(text) > _LONGEST_TYPED:
                raise Invalid(f"takes a label of at most {LONGEST_LABEL} characters")
            found = _TYPED.fullmatch(text)
            if found is None:
                raise Invalid(_NO_PLACE)
            return found[1], found[2], _label(found[3])
        try:
            given = json.loads(text) if len(text) <= _LONGEST_JSON_TYPED else None
        except (ValueError, RecursionError):
            raise Invalid(_NO_PLACE) from None
    if not isinstance(given, Mapping):
        raise Invalid(_NO_PLACE)
    return _first(given, _LATITUDE), _first(given, _LONGITUDE), _label(_first(given, _LABEL))


def _first(given: Mapping[Any, Any], names: tuple[str, ...]) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _label(given: Any) -> str:
    if given is None:
        return ""
    if not isinstance(given, str):
        raise Invalid("takes a label that is text")
    label = one_line(clean(given)).strip(" \t,;")
    if len(label) > LONGEST_LABEL:
        raise Invalid(f"takes a label of at most {LONGEST_LABEL} characters")
    return label


class Structure(PropertyType):
    """An object or a list of JSON values, for machines; no condition can ask of it."""

    name = "object"
    label = "JSON"
    icon = "t_json"
    storage = Storage.JSON
    editor = Editor.JSON
    indexed = False

    def parse(self, given: Any) -> Any:
        """Take an object or a list, or either as JSON text, up to 20 kB and 20 levels deep."""
        if isinstance(given, str):
            given = _loaded(given)
        if not isinstance(given, dict | list | tuple):
            raise Invalid(_NO_JSON)
        value = _Checked().value(given, DEEPEST)
        if len(_encoded(value).encode()) > LONGEST_JSON:
            raise Invalid(_TOO_LONG)
        return value

    def render(self, value: Any, zone: tzinfo = UTC) -> Rendered:
        """Return the beginning."""
        return Rendered(snippet(_encoded(value)))

    def typed(self, value: Any) -> str:
        """Return it indented, as one edits it."""
        return json.dumps(value, ensure_ascii=False, indent=2)


_TOO_LONG = f"takes at most {LONGEST_JSON // 1_000} kB of JSON"
_TOO_DEEP = f"takes JSON of at most {DEEPEST} levels"
_NO_NUMBER = "takes JSON whose numbers are finite, of at most 300 digits"
_MOST_NUMBER = 10**300


def _loaded(text: str) -> Any:
    if len(text) > _LONGEST_JSON_TYPED:
        raise Invalid(_TOO_LONG)
    try:
        return json.loads(text, parse_constant=_refuse)
    except Invalid:
        raise
    except RecursionError:
        raise Invalid(_TOO_DEEP) from None
    except ValueError:  # no JSON, or a number of more digits than Python reads
        raise Invalid(_NO_JSON) from None


def _refuse(_: str) -> NoReturn:
    raise Invalid(_NO_NUMBER)


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Checked:
    """Copies a value while it counts: what refers to itself ends as surely as what is endless."""

    def __init__(self) -> None:
        self._nodes = 0

    def value(self, given: Any, levels: int) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise Invalid(_TOO_LONG)
        if given is None or isinstance(given, bool):
            return given
        if isinstance(given, str):
            return clean(given)
        if isinstance(given, int | float):
            if not math.isfinite(given) if isinstance(given, float) else abs(given) >= _MOST_NUMBER:
                raise Invalid(_NO_NUMBER)
            return given
        if not isinstance(given, dict | list | tuple):
            raise Invalid(_NO_JSON)
        if levels == 0:
            raise Invalid(_TOO_DEEP)
        if isinstance(given, dict):
            if not all(isinstance(key, str) for key in given):
                raise Invalid(_NO_JSON)
            return {clean(key): self.value(item, levels - 1) for key, item in given.items()}
        return [self.value(item, levels - 1) for item in given]
