"""`storymesh narrate`: a narrator tried on some records, or only its cost estimated."""

from typing import Annotated

import typer

from storymesh.cli.options import FormatOption, MeshOption, NarrativeArgument, mesh_root
from storymesh.cli.output.json_document import echo_result, print_result
from storymesh.errors import WrongUsage, suggest_name


def narrate(
    narrative: NarrativeArgument,
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A config that a narrator retells.")],
    mesh: MeshOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only how many calls at what cost; calls nobody.")] = False,
    suggest_vocabulary: Annotated[
        bool,
        typer.Option("--suggest-vocabulary", help="The words that stored answers were refused for; calls nobody."),
    ] = False,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=1, help="How many records to retell.")] = 5,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Try a narrator, estimate its cost, or name words that it lacks."""
    from storymesh.cli.output.rewriting import show_estimate, show_rewritten_sample, show_suggestion
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.release import rewritten_records

    loaded = load_mesh(mesh_root(mesh))
    build = pin_build(loaded, loaded.narrative(narrative))
    if config not in build.configs or not build.typed.records[config].rewritten:
        retold = [name for name in build.configs if build.typed.records[name].rewritten]
        hint = suggest_name(config, retold) if retold else "write one with `from` and `narrator`"
        raise WrongUsage(f"'{build.narrative.id}' has no config '{config}' that is retold", hint)
    if dry_run and suggest_vocabulary:
        raise WrongUsage("--dry-run and --suggest-vocabulary are two questions", "ask one of them")
    if suggest_vocabulary:
        suggestion = rewritten_records.suggest_words(build, config)
        print_result(suggestion, format, lambda found: show_suggestion(found, build.narrative.vocabulary))
    elif dry_run:
        print_result(rewritten_records.estimate_config(build, config), format, show_estimate)
    elif format == "json":
        results = rewritten_records.sample_results(build, config, sample, lambda usage: None)
        echo_result([{"story": story, "result": result} for story, result in results])
    else:
        show_rewritten_sample(
            lambda progress: rewritten_records.sample_results(build, config, sample, progress), sample
        )
