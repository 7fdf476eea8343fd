"""params.yaml read and checked: an unknown key, a wrong type or a value out of range is refused.

cfg = load_config("params.yaml", stage="generate")
cfg.generate.rationales     # 5; lib/settings.py lists all there are
cfg.train                   # refused: dvc.yaml does not declare `train` for stage `generate`
"""

from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from lib import paths
from lib.composition import layers, overlay, read_yaml
from lib.errors import UserError
from lib.settings import Config


class StageConfig:
    """The sections of params.yaml that dvc.yaml declares for one stage; any other is refused."""

    def __init__(self, config: Config, stage: str, declared: list[str]):
        self._config, self._stage, self._declared = config, stage, declared

    def __getattr__(self, section: str):
        if section in self._declared:
            return getattr(self._config, section)
        raise AttributeError(
            f"section {section!r} is not declared for stage {self._stage!r}; "
            f"add it to the stage's params in dvc.yaml (declared: {', '.join(self._declared)})"
        )


def load_config(params_file: Path | str = paths.PARAMS, stage: str | None = None) -> Config | StageConfig:
    """Read and check a params file; with `stage`, expose only what that stage declares in dvc.yaml.

    A profile with `extends` is laid over the profile that it extends (lib/composition.py), and each is checked, so
    that an error names the file it is in. Raises UserError naming file, key, the value given and what is allowed.
    """
    config = checked(layers(Path(params_file), str(params_file)))
    return config if stage is None else StageConfig(config, stage, declared_params(stage))


def checked(stack: list[tuple[Path, str, Any]]) -> Config:
    """The settings that the layers of a params file give together (see `layers`), checked after each of them."""
    (_, where, values), *differences = stack
    config = parse_config(values, where)
    for _, where, difference in differences:
        overlay(values, difference, where)
        config = parse_config(values, where)
    return config


def parse_config(values: Any, where: str) -> Config:
    """A mapping as settings; `where` is named in errors."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a mapping of sections, given {values!r:.60}")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(_explain(where, e) for e in error.errors()[:3])) from None


def declared_params(stage: str) -> list[str]:
    """The params.yaml sections that dvc.yaml declares for a stage."""
    stages = read_yaml(paths.ROOT / "dvc.yaml")["stages"]
    if stage not in stages:
        raise UserError(f"dvc.yaml: no stage {stage!r}; stages: {', '.join(stages)}")
    return [key for key in stages[stage].get("params", []) if isinstance(key, str)]


def _explain(where: str, error: dict) -> str:
    """One pydantic error as one line in the user's terms."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key; allowed: {', '.join(_siblings(error['loc']))}"
    if error["type"] == "missing":
        return f"{where}: {key}: missing"
    return f"{where}: {key}: {error['msg']} (given {error['input']!r:.60})"


def _siblings(loc: tuple) -> list[str]:
    """The keys allowed beside an unknown one."""
    model: Any = Config
    for part in loc[:-1]:
        # a mapping by names, such as the prices by model, has no fields: what its values are is its second argument
        model = model.model_fields[part].annotation if hasattr(model, "model_fields") else get_args(model)[1]
    return list(model.model_fields)
