"""A store without a fault."""


def test_a_good_server_passes_and_stays_clean(doctor, any_server, prefix):
    found = doctor(any_server.url)
    assert {check["level"] for check in found.values()} == {"ok"}
    expected = any_server.version().replace("-", " ").capitalize()
    assert found["server"]["message"] == expected
    with any_server.client() as client:
        assert list(client.scan_iter(f"{prefix}*")) == []


def test_people_get_a_line_per_check(run):
    result = run("doctor")
    assert result.exit_code == 0
    assert all(line.startswith("ok    ") for line in result.stdout.splitlines())
