"""Serves demo.echo: whoever calls gets back what they sent."""

from hopsack import Service, procedure


class Echo(Service):
    @procedure("demo.echo")
    async def echo(self, text: str) -> str:
        return text
