"""The broker that a URL names."""

from dramatiq import Broker


def make_broker(url: str) -> Broker:
    if url.startswith("amqp:"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=url)
    from dramatiq.brokers.redis import RedisBroker

    return RedisBroker(url=url)
