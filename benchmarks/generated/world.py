"""Drawn worlds: the products of one mesh, with roles, columns and lengths of lists that a seed decides.

One case stands for each job. Parents are joined by their key, logs are events of a job before its question, spans are
intervals on a lane that overlap the question, and a rate is the latest of its lane.
"""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import yaml

CODES = ("red", "green", "blue", "grey", "amber", "violet")
LANES, CHOICES = ("north", "east", "south", "west", "ring"), ("wait", "reroute", "split", "cancel")
LABELS = {code: f"the {code} one" for code in (*CODES, *LANES)} | {code: f"{code} at once" for code in CHOICES}
VALIDATION, TEST = "2023-01-01", "2023-07-01"
FIRST, LAST = "2021-01-01", "2024-01-01"
KINDS = {  # the letter of a column -> its type in a contract and its value in SQL
    "t": ({"logicalType": "string"}, "words(key, 'NAME')"),
    "u": ({"logicalType": "string", "required": False}, "if(draw(key, 'NAME!', 3) = 0, NULL, words(key, 'NAME'))"),
    "n": ({"logicalType": "integer"}, "draw(key, 'NAME', 1000)"),
    "m": ({"logicalType": "integer", "required": False}, "nullif(draw(key, 'NAME', 9), 0)"),
    "d": ({"logicalType": "number", "physicalType": "decimal(10,2)"},
          "(draw(key, 'NAME', 900000) / 100)::DECIMAL(10, 2)"),
    "f": ({"logicalType": "number", "physicalType": "double"}, "draw(key, 'NAME', 7919)::DOUBLE / 97"),
    "c": ({"logicalType": "string", "enum": [{"value": code, "label": LABELS[code]} for code in CODES]},
          f"{list(CODES)}[draw(key, 'NAME', {len(CODES)}) + 1]"),
    "w": ({"logicalType": "timestamp"}, f"TIMESTAMP '{FIRST}' + to_minutes(draw(key, 'NAME', 1500000))"),
    "b": ({"logicalType": "boolean"}, "draw(key, 'NAME', 2) = 0"),
}  # fmt: skip
WORDS = (
    "quay", "anchor", "ballast", "crew's", 'the "Ü"', "{{ crane }}", "berth", "lock", "pilot", "tide", "chart", "fog",
    "hull", "mast", "{% if %}", "reefer", "tug", "wharf", "yard", "zinc",
)  # fmt: skip
MACROS = f"""
    CREATE MACRO draw(key, name, n) AS (hash(concat(key, ':', name)) % n)::BIGINT;
    CREATE MACRO word(key, name) AS {[word.replace("'", "’") for word in WORDS]}[draw(key, name, {len(WORDS)}) + 1];
    CREATE MACRO words(key, name) AS concat_ws(' ', word(key, name), word(key, name || 2), word(key, name || 3));
    CREATE MACRO coded(key, name, codes) AS codes[draw(key, name, len(codes)) + 1];
"""


@dataclass(frozen=True)
class Role:
    """One role: its product has the role's name. `length` is how many rows a case has on average, for lists."""

    name: str
    kind: str  # anchor, parent, log, span or rate
    columns: tuple[str, ...]  # those that templates may print; the first letter is the kind of each
    length: int = 0
    required: bool = False

    @property
    def listed(self) -> bool:
        return self.kind in ("log", "span")


@dataclass(frozen=True)
class World:
    """The cast of one mesh."""

    seed: int
    roles: tuple[Role, ...]
    precedents: bool
    by_role: dict[str, Role] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.by_role.update({role.name: role for role in self.roles})


def draw_world(seed: int) -> World:
    """Return the world of a seed."""
    rng = Random(f"world {seed}")

    def columns() -> tuple[str, ...]:
        count = rng.randint(24, 40) if rng.random() < 0.2 else rng.randint(4, 9)
        return tuple(f"{rng.choice(list(KINDS))}{index}" for index in range(count))

    roles = [Role("job", "anchor", columns())]
    roles += [Role(f"parent{n}", "parent", columns(), required=rng.random() < 0.5) for n in range(rng.randint(0, 4))]
    lengths = (2, 2, 4, 8, 8, 25)
    roles += [Role(f"log{n}", "log", columns(), rng.choice(lengths)) for n in range(rng.randint(1, 3))]
    roles += [Role(f"span{n}", "span", columns(), rng.choice((2, 5, 12))) for n in range(rng.randint(0, 2))]
    roles += [Role("rate", "rate", columns())] if rng.random() < 0.4 else []
    return World(seed, tuple(roles), rng.random() < 0.6)


def write_products(world: World, cases: int, folder: Path) -> None:
    """Write `<role>.parquet` for each role of the world; one seed and count give the same rows."""
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(MACROS)
        for role in world.roles:
            db.execute(f"COPY ({_rows(world, role, cases)}) TO '{folder / role.name}.parquet' (FORMAT parquet)")


def _rows(world: World, role: Role, cases: int) -> str:
    drawn = ", ".join(f"{KINDS[name[0]][1].replace('NAME', f'{role.name}.{name}')} AS {name}" for name in role.columns)
    # A month before each cut has no questions, so that every case of an earlier period has ended by then.
    begins = f"""if(month(raw) IN (6, 12), raw - INTERVAL 31 DAY, raw) AS began FROM (
        SELECT printf('J%07d', n) AS key, TIMESTAMP '{FIRST}' + to_minutes(draw(n, 'began{world.seed}', 1576800)) AS raw
        FROM range({cases}) AS jobs(n))"""
    match role.kind:
        case "anchor":
            parents = "".join(
                f", printf('P%05d', draw(key, '{other.name}', {cases // 20 + 3})) AS {other.name}_id"
                for other in world.roles
                if other.kind == "parent"
            )
            return f"""SELECT key AS id, began, if(began > TIMESTAMP '{TEST}' AND draw(key, 'open', 5) = 0, NULL,
                    began + to_minutes(draw(key, 'over', 40000) + 60)) AS ended,
                coded(key, 'lane', {list(LANES)}) AS lane, coded(key, 'sort', {list(CODES[:2])}) AS sort,
                if(ended IS NULL, NULL, coded(key, 'choice', {list(CHOICES)})) AS choice,
                40 * list_position({list(CHOICES)}, choice) AS helped,
                (draw(key, 'gain', 20000) / 100 - 200 + helped)::DECIMAL(10, 2) AS gain
                {parents}, {drawn} FROM (SELECT key, {begins})"""
        case "parent":
            missing = 0 if role.required else cases // 200 + 1
            keys = f"SELECT printf('P%05d', n) AS key FROM range({missing}, {cases // 20 + 3}) AS parents(n)"
            return f"SELECT key AS id, {drawn} FROM ({keys})"
        case "log":
            keys = f"""SELECT concat(key, '-', n) AS key, key AS job_id,
                    began - to_minutes(draw(key, n, 20000)) AS began
                FROM (SELECT key, {begins}), LATERAL (
                    SELECT unnest(range(draw(key, '{role.name}', {2 * role.length + 1}))) AS n)"""
            return f"SELECT key AS id, job_id, began, {drawn} FROM ({keys})"
        case "span":
            # Of 10 days on average, over three years and every lane.
            count = role.length * 1100 * len(LANES) // 10
            keys = f"""SELECT printf('S%05d', n) AS key, coded(n, '{role.name}', {list(LANES)}) AS lane,
                TIMESTAMP '{FIRST}' + to_minutes(draw(n, '{role.name}', 1576800)) AS began,
                began + to_minutes(draw(n, 'length', 28800)) AS ended FROM range({count}) AS spans(n)"""
            return f"SELECT key AS id, lane, began, ended, {drawn} FROM ({keys})"
        case _:
            keys = f"""SELECT concat(lane, '-', n) AS key, lane, TIMESTAMP '{FIRST}' + to_days(n::INTEGER) AS began
                FROM range(-9, 1100) AS days(n), (SELECT unnest({list(LANES)}) AS lane)"""
            return f"SELECT key AS id, lane, began, {drawn} FROM ({keys})"


def write_contracts(world: World, root: Path) -> None:
    """Write the contract of each role's product below the mesh root `root`."""
    folder = root / "contracts" / "world"
    folder.mkdir(parents=True, exist_ok=True)
    for role in world.roles:
        fields = {name: dict(KINDS[name[0]][0]) for name in role.columns}
        text, moment = {"logicalType": "string"}, {"logicalType": "timestamp"}
        own: dict[str, dict[str, object]] = {"id": {**text, "primaryKey": True, "primaryKeyPosition": 1}}
        if role.kind != "parent":
            own["began"] = dict(moment)
        if role.kind == "log":
            own["job_id"] = dict(text)
        if role.kind in ("span", "rate", "anchor"):
            own["lane"] = {**text, "enum": [{"value": code, "label": LABELS[code]} for code in LANES]}
        if role.kind == "span":
            own["ended"] = {**moment, "required": False}
        if role.kind == "anchor":
            later = {"required": False, "customProperties": [{"property": "knownAt", "value": "ended"}]}
            own["ended"] = {**moment, **later}
            own["sort"] = dict(KINDS["c"][0])
            own["choice"] = {**text, **later, "enum": [{"value": code, "label": LABELS[code]} for code in CHOICES]}
            own["gain"] = {**KINDS["d"][0], **later}
            own |= {f"{other.name}_id": dict(text) for other in world.roles if other.kind == "parent"}
        properties = [
            {"name": name, "required": True, "classification": "public", **kind}
            for name, kind in (own | fields).items()
        ]
        about = {"eventTime": "began"} if role.kind != "parent" else {"timeless": True}
        about |= {"endTime": "ended"} if role.kind == "span" else {}
        schema = {
            "name": role.name,
            "logicalType": "object",
            "customProperties": [{"property": name, "value": value} for name, value in about.items()],
            "properties": properties,
        }
        document = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": f"world.{role.name}",
            "version": "1.0.0",
            "status": "active",
            "schema": [schema],
        }
        path = folder / f"{role.name}.odcs.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
