from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kamal_dev.providers import keys


def test_the_pair_is_made_once(tmp_path: Path) -> None:
    assert keys.ensure(tmp_path / "local") == keys.ensure(tmp_path / "local")


def test_the_private_half_is_for_its_owner_alone(tmp_path: Path) -> None:
    private, _ = keys.ensure(tmp_path / "local")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700


def test_openssh_agrees_that_both_halves_belong_together(tmp_path: Path) -> None:
    private, public = keys.ensure(tmp_path)
    derived = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
    assert derived.split()[:2] == public.split()[:2]


def test_a_lost_public_half_is_made_again_from_the_private_one(tmp_path: Path) -> None:
    _, public = keys.ensure(tmp_path)
    (tmp_path / "id_ed25519.pub").unlink()
    assert keys.ensure(tmp_path)[1] == public


def test_runs_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        publics = {public for _, public in pool.map(keys.ensure, [tmp_path / "local"] * 8)}
    assert len(publics) == 1
    assert sorted(path.name for path in (tmp_path / "local").iterdir()) == ["id_ed25519", "id_ed25519.pub"]
