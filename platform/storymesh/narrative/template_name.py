"""The name of a template file beside `narrative.yaml`, as definitions write it."""

import re
from typing import Annotated

from storymesh.case.definition import pattern_check

Template = Annotated[
    str, pattern_check(re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.jinja$"), "a template beside narrative.yaml")
]
