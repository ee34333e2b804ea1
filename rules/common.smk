"""What every rule is made of: needs(stage), build(stage), one_of(step)."""


def needs(stage):
    """A rule's inputs: the artifacts its stage reads, and the stamp that says it is stale."""

    def inputs(wildcards):
        found = STAGES[stage.format(**wildcards)]
        artifacts = [each.out.as_posix() for each in graph.needed(found, STAGES.values())]
        return [*artifacts, freshness.stamp(found.name).as_posix()]

    return inputs


def build(stage):
    """A rule's command: DVC runs the stage if it is changed, and records what came out."""
    repro = f"dvc --wait-for-lock repro --single-item {stage}"
    return f"RESIDENCY_THREADS={{threads}} {HOW}{repro} > {{log}} 2>&1"


def one_of(step):
    """The names a step is declared for, as a wildcard's pattern."""
    names = [stage.out.name for stage in STAGES.values() if stage.step == step]
    return "|".join(names) or "(?!)"


def told_how():
    """A profile's `config` as environment variables: how models train and are asked, never what."""
    known = (*devices.VARIABLES, *endpoint.VARIABLES)
    for key, value in config.items():
        if key not in known:
            raise WorkflowError(f"config: unknown {key!r}; {nearest(key, known)}")
        if not str(value).isdecimal():
            raise WorkflowError(f"config: {key} is a whole number, found {value!r}")
    return "".join(f"RESIDENCY_{key.upper()}={value} " for key, value in sorted(config.items()))


HOW = told_how()


onstart:
    for job in workflow.dag.needrun_jobs():
        for name in {
            stage.name for stage in STAGES.values() if stage.out.as_posix() in job.output
        }:
            if name in UNPULLED:
                raise WorkflowError(UNPULLED[name])
