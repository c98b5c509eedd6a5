"""The parts of docs/reference/mesh.md: the fields of mesh.yaml and domain.yaml."""

from collections.abc import Mapping

from pydantic import BaseModel

from reference_pages.fields import field_table
from storymesh.mesh import engine_settings, premises, settings

# Heading -> the model of its fields, a sentence before them, and what each field means.
SECTIONS: Mapping[str, tuple[type[BaseModel], str, Mapping[str, str]]] = {
    "mesh.yaml": (
        settings.Settings,
        "It stands in the mesh root, and may be left out: then all defaults hold.",
        {
            "engine": (
                "what makes cases, precedents and records: `duckdb`, which needs nothing, or `{spark: …}`: see below"
            ),
            "store": "where products are kept: see below, or a folder alone",
            "releases": "a folder, relative to the mesh root",
            "premises": (
                "where the data of a domain may live, by name: see below, or a list of names. A `domain.yaml` names "
                "one of them. [How to](../how-to/keep-data-on-its-premise.md)"
            ),
            "run_at": (
                "the premise where cases are made, and where the records are, but for narratives that a premise names; "
                "without it the only one, or `default`"
            ),
            "classifications": (
                "what a word of the house means in contracts, such as `confidential: restricted`; one that stands "
                "nowhere counts as restricted. [Contract](contract.md)"
            ),
            "models": "see below",
            "files": "see below",
            "signers": (
                "public keys `ed25519:…`, as `storymesh sign` prints them: of whom releases are taken. "
                "[How to](../how-to/use-a-release.md)"
            ),
            "dbt": "see below",
            "servers": "see below",
            "schedule": (
                "when the whole mesh is refreshed: five cron fields, or `@daily` and the like, in UTC. "
                "[How to](../how-to/run-and-repair.md)"
            ),
        },
    ),
    "premises: <name>": (
        premises.Premise,
        "A place where data lives. A list of names is of places from which anything may leave.",
        {
            "leaves": "`declared`: what no rule under `leaves` of a contract names stays; `anything`: it is free to go",
            "link": "`{price: …}`: what a gigabyte costs on its way out, beside those of other premises",
            "models": (
                "of a premise of `declared` leavings, the models that may be sent its values, as `openai:gpt-4o-mini`, "
                "or `openai:*`; without any, none"
            ),
            "narratives": "ids of the narratives whose cases are made here, wherever those of others are",
        },
    ),
    "engine: spark": (
        engine_settings.SparkSettings,
        (
            "Spark runs at one place: `remote` or `master`, never both. All of it may name variables, as in `store`; a "
            "token, a password or a key stands in the environment alone. [How to](../how-to/scale-out.md)"
        ),
        {
            "remote": "the address of a Spark Connect server, `sc://host:15002`",
            "master": "a cluster or this machine, as Spark names it: `local[2]`, `yarn`, `k8s://…`",
            "settings": "Spark's own settings, by name; those that records hang on (time zone, decimals) are refused",
        },
    ),
    "store": (
        settings.StoreSettings,
        (
            "Both addresses may name variables of the environment, as `${NAME}` or `${NAME:-a value without it}`; "
            "passwords and keys stand in the environment alone. [How to](../how-to/deploy.md)"
        ),
        {
            "folder": (
                "relative to the mesh root: locks, quarantined rows and builds, and the products where nothing below "
                "says otherwise"
            ),
            "warehouse": "an address `s3://…` for the data files",
            "catalog": "a database for the Iceberg catalogue, as SQLAlchemy writes it: `postgresql+psycopg2://…`",
        },
    ),
    "models": (
        settings.ModelSettings,
        "What holds for the language models that narratives name. [How to](../how-to/retell-with-a-model.md)",
        {
            "hosts": (
                "where a narrator's `base_url` may lead besides this machine: `llm.example.com` (any port, "
                "encrypted), `llm.example.com:8443`, or `http://llm.internal:8000` for one without encryption"
            ),
        },
    ),
    "files": (
        settings.FilesSettings,
        "What holds for products that are made of files. [How to](../how-to/read-files.md)",
        {
            "networks": (
                "private networks, such as `10.1.0.0/16`, to which the addresses in a product's column may lead; all "
                "others than public ones are refused"
            ),
        },
    ),
    "dbt": (
        settings.DbtSettings,
        (
            "What dbt may have besides the data of its own domain and the products of its input ports. "
            "[How to](../how-to/add-a-product.md)"
        ),
        {
            "read": "files and folders, relative to the mesh root, as in `../shared/data`",
            "env": "variables of the environment that `env_var` finds; none whose name begins with `STORYMESH_`",
            "unconfined": (
                "domains whose dbt may do all that the person may who runs it: Python models, plugins, a profile of "
                "any kind"
            ),
            "time_limit": "how long the dbt of a domain may take before it is ended, such as `12h`; `0h`: as it likes",
        },
    ),
    "servers": (
        settings.ServerSettings,
        "What the servers that contracts name may be. [How to](../how-to/read-from-a-server.md)",
        {
            "hosts": "patterns of hosts that may be connected to: `*.example.com`, `db.example.com:5432`. Default: all",
            "read": "files and folders outside of the domain in which files and tables may lie, as in `../lake`",
            "silence": "how long a server may say nothing before it is left, such as `10m`",
        },
    ),
    "domain.yaml": (
        settings.Domain,
        "It stands in `domains/<domain>/`.",
        {
            "id": "the name of the folder",
            "title": "one line, for people",
            "owner": "a team, such as an e-mail address",
            "premise": "where its data lives: one of the mesh's `premises`",
            "description": "for people",
            "schedule": "when every model and product of the domain is refreshed, written as in `mesh.yaml`",
        },
    ),
}


def page() -> dict[str, str]:
    parts = []
    for title, (model, words, meanings) in SECTIONS.items():
        heading = title if title.endswith(".yaml") else f"`{title}`"
        parts.append(f"## {heading}\n\n{words}\n\n{field_table(model, meanings, title)}")
    return {"sections": "\n".join(parts)}
