"""The table of prices: ``aws/prices.yaml``, dated, and for the user to edit."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from worldmodels_repro.errors import UserError, first_line
from worldmodels_repro.resources import folder

FOLDER = folder("aws")
TABLE = FOLDER / "prices.yaml"
HOURS_A_MONTH = 730.0
DISK_GIB = 200  # of each machine, by the template

Dollars = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Machine(BaseModel):
    """A kind of machine: dollars an hour, vCPUs, physical cores, and the CPU whose rates it has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    price: Dollars
    vcpus: Count
    cores: Count
    cpu: str | None = None
    gpu: str | None = None


class Prices(BaseModel):
    """The whole table; see the file for units."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: datetime.date
    region: str
    spot_share: Annotated[float, Field(gt=0, le=1)]
    disk_gib_month: Dollars
    bucket_gib_month: Dollars
    address_hour: Dollars
    machines: dict[str, Machine]

    def machine(self, name: str) -> Machine:
        """One row.

        Raises:
            UserError: the table has no such machine.
        """
        if name not in self.machines:
            raise UserError(f"aws/prices.yaml has no {name}: add its price there, or name one of "
                            + ", ".join(self.machines))
        return self.machines[name]

    def hour(self, name: str, spot: bool, disk_gib: int = 0) -> float:
        """Dollars an hour of one machine, with its disk and its public address."""
        price = self.machine(name).price * (self.spot_share if spot else 1.0)
        return price + disk_gib * self.disk_gib_month / HOURS_A_MONTH + self.address_hour

    def caution(self, region: str | None = None) -> str:
        """What to think of the table's figures, in a line."""
        elsewhere = f"; you use {region}" if region and region != self.region else ""
        return (f"list prices of {self.region} as of {self.as_of}{elsewhere}, spot assumed at "
                f"{self.spot_share:.0%}; check before you rely on them (aws/prices.yaml)")


def load_prices(path: Path = TABLE) -> Prices:
    """Read the table.

    Raises:
        UserError: it is missing or does not hold what it should.
    """
    try:
        return Prices.model_validate(YAML(typ="safe", pure=True).load(path.read_text()))
    except OSError:
        raise UserError(f"{path} can't be read: type git checkout aws/prices.yaml") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key}: {first['msg'].lower()}") from None
    except (YAMLError, ValueError, RecursionError) as error:  # ruamel's own, and what it lets pass
        raise UserError(f"{path} is not valid YAML: {first_line(error)}") from None
