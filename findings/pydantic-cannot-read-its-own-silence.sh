#!/usr/bin/env bash
# A song whose loudness is -inf, as silence is measured, can't be read back by the pydantic model that wrote it.
#
# JSON has no infinity: pydantic writes null for it, without a word, and a field of type `float` takes no null. One
# silent stem among a thousand, and the list of all can't be loaded. Where the field may be None, it comes
# back as "not measured". orjson does alike; Python's own json writes -Infinity, which browsers refuse.
# Seen with pydantic 2.14.4: {"loudness":null}, and "Input should be a valid number"; ser_json_inf_nan="strings" helps.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pydantic==2.14.4 pyloudnorm==0.2.0 numpy==2.4.6 || exit 2
cd "$work" && venv/bin/python -W ignore - <<'END'
import sys
from importlib.metadata import version
import pyloudnorm
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

class Stem(BaseModel):
    loudness: float

class MaybeStem(BaseModel):
    loudness: float | None

class TextStem(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    loudness: float

def there_and_back(model, value):
    """(the JSON of a stem, its loudness as it is read from that); "an error" where it can't be read."""
    text = model(loudness=value).model_dump_json()
    try:
        return text, model.model_validate_json(text).loudness
    except ValidationError as error:
        assert error.error_count() == 1
        return text, "an error: " + error.errors()[0]["msg"]

silence = float(pyloudnorm.Meter(44_100).integrated_loudness(np.zeros((44_100, 2))))
print("versions: pydantic", version("pydantic") + ",", "pyloudnorm", version("pyloudnorm"))
print("expected: what a model writes it can read, and it is the same; or it refuses to write")
seen = {model.__name__: there_and_back(model, silence) for model in (Stem, MaybeStem, TextStem)}
print("seen:     a second of silence measures", silence)
for name, (text, back) in seen.items():
    print(f"          {name:9} {text} is read as {back}")
same = seen["TextStem"][1] == silence == -np.inf and there_and_back(Stem, -14.5)[1] == -14.5
sys.exit(0 if same and str(seen["Stem"][1]).startswith("an error") and seen["MaybeStem"][1] is None else 1)
END
