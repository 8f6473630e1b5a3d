"""Thinkgate: an OpenAI-compatible gateway that decides, request by request, how hard a model should think."""

__version__ = "0.1.0"
