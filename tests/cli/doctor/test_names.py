"""The list of breakers, which has the key of something else."""


def test_a_list_that_something_else_has_taken(doctor, client, prefix):
    client.set(f"{prefix}s", "x")
    found = doctor_of(doctor, client)
    assert found["names"]["level"] == "fail"
    assert found["breakers"]["level"] == "fail"
    client.delete(f"{prefix}s")


def doctor_of(doctor, client):
    data = client.connection_pool.connection_kwargs
    return doctor(f"redis://{data['host']}:{data['port']}/{data['db']}")
