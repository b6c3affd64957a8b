"""Whether the columns of a snapshot's components fit each other, before they become arrays.

Components are stored and learned apart, so nothing else holds them together. It knows nothing of numpy.
"""

from p402.errors import ConfigError
from p402.routing.spec import CAPABILITIES, GROWN, Arms, Prices, SnapshotSpec


def check_shapes(spec: SnapshotSpec) -> None:
    """Check that every arm has one row in every column, and every row a place for what it names.

    Raises
    ------
    ConfigError
        The first thing that does not fit, by name.
    """
    n = len(spec.arms.arm)
    if n == 0:
        raise ConfigError("snapshot has no arms: configure at least one provider with one model")
    if list(spec.arms.arm) != sorted(set(spec.arms.arm)):
        raise ConfigError("snapshot arms must be unique and ascending: ties go to the lower id")
    columns = {
        f"{part}.{name}": getattr(getattr(spec, part), name)
        for part, names in {
            "arms": Arms.__struct_fields__,
            "prices": Prices.__struct_fields__,
            "posterior": ("theta", "sd", "output_ratio", "ttft_ms", "quality_source"),
        }.items()
        for name in names
        if not (part == "prices" and name in GROWN and getattr(spec.prices, name) == ())
    }
    for name, column in columns.items():
        if len(column) != n:
            raise ConfigError(f"{name} has {len(column)} rows; expected one for each of {n} arms")
    features, tasks = len(spec.posterior.features), len(spec.posterior.tasks)
    if not features or not tasks:
        raise ConfigError("posterior names no features or no tasks; expected at least one of each")
    if any(len(row) != features for row in spec.posterior.theta):
        raise ConfigError(f"posterior.theta must have {features} columns, one for each feature")
    if any(len(row) != tasks for row in spec.posterior.sd):
        raise ConfigError(f"posterior.sd must have {tasks} columns, one for each task")
    for name, least, most, values in (
        ("arms.capabilities", 0, (1 << len(CAPABILITIES)) - 1, spec.arms.capabilities),
        ("posterior.output_ratio", 0, 1 << 32, spec.posterior.output_ratio),
        ("posterior.ttft_ms", 0, 1 << 32, spec.posterior.ttft_ms),
    ):
        if min(values) < least or max(values) > most:
            raise ConfigError(
                f"{name} lies in [{min(values)}, {max(values)}]; expected values of {least} to {most}"
            )
    names = [tenant.name for tenant in spec.tenants.policies]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"tenant policies are {names}; expected at least one, each of its own name")
