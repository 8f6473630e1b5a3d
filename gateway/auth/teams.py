"""Teams for operators: a named budget over several keys, which holds besides the limits of each."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import Any

from gateway.auth import key_database
from gateway.auth.keys import Keys, stored
from gateway.auth.limits import NewTeam, TeamChange
from gateway.auth.team import Team
from gateway.core.errors import TeamConflict, UnknownTeam


@dataclass(frozen=True, slots=True)
class Teams:
    """They are in the database of the keys; running gateways notice changes at once."""

    keys: Keys

    def create(self, new: NewTeam) -> Team:
        """TeamConflict: there is one of this name."""
        with self.keys.changing("teams.create", new.name) as database:
            if key_database.find_team(database, new.name) is not None:
                raise TeamConflict(f"There is a team {new.name!r} already.")
            row = (key_database.new_slot(database), new.name, self.keys.clock(), stored(new.limits))
            database.execute("INSERT INTO teams VALUES (?, ?, ?, ?)", row)
            return _read(database, new.name)

    def update(self, name: str, change: TeamChange) -> Team:
        """Change the limits that the request names, at once. UnknownTeam."""
        with self.keys.changing("teams.update", name) as database:
            limits = stored(_read(database, name).limits.changed(change.limits))
            database.execute("UPDATE teams SET limits = ? WHERE name = ?", (limits, name))
            return _read(database, name)

    def remove(self, name: str) -> None:
        """UnknownTeam; TeamConflict: there are keys in it that are not revoked."""
        with self.keys.changing("teams.remove", name) as database:
            _read(database, name)
            found = database.execute("SELECT id FROM keys WHERE team = ? AND revoked IS NULL", (name,)).fetchall()
            if found:
                ids = ", ".join(row[0] for row in found[:5])
                raise TeamConflict(f"The team {name} has keys ({ids}): move them to another one, or to none, first.")
            database.execute("UPDATE keys SET team = NULL WHERE team = ?", (name,))
            database.execute("DELETE FROM teams WHERE name = ?", (name,))

    def get(self, name: str) -> Team:
        with contextlib.closing(self.keys.open()) as database:
            return _read(database, name)

    def all(self) -> list[Team]:
        """By name."""
        with contextlib.closing(self.keys.open()) as database:
            names = [row[0] for row in database.execute("SELECT name FROM teams ORDER BY name")]
            return [_read(database, name) for name in names]

    def describe(self, team: Team) -> dict[str, Any]:
        """A team's limits and usage, and the ids of its keys."""
        with contextlib.closing(self.keys.open()) as database:
            ids = [row[0] for row in database.execute("SELECT id FROM keys WHERE team = ? ORDER BY slot", (team.name,))]
        return {
            "name": team.name,
            "created": team.created,
            "keys": ids,
            "limits": team.limits.given(),
            "usage": self.keys.counters.read(team.slot, self.keys.clock()).report(),
        }


def _read(database: sqlite3.Connection, name: str) -> Team:
    team = key_database.find_team(database, name)
    if team is None:
        raise UnknownTeam(name)
    return team
