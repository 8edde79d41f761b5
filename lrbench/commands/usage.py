"""What is wrong with a command that cannot be read (no such command, option or argument), in the house's one form.

What this does *not* do: judge the values of options (`lrbench.commands.options`).
"""

import re

import typer
from typer.core import TyperGroup

from lrbench.errors import InputError, did_you_mean

# Parents of an exception that every version of typer exports: newer ones carry a click of their own.
UsageError, ClickException = typer.BadParameter.__mro__[1:3]


class Group(TyperGroup):
    """A group of commands that tells which commands there are, and which was probably meant."""

    def resolve_command(self, ctx, args):
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            raise InputError(
                f"{ctx.command_path}: {args[0]!r} is no command; allowed: {', '.join(known)}."
                f"{did_you_mean(args[0], known)}"
            )
        return super().resolve_command(ctx, args)


def problem(error: ClickException) -> str:
    """Return what a user got wrong with a command's words: where, what was found, what is allowed, what to type."""
    if type(error).__name__ == "BadOptionUsage":  # its parser does not say of which command
        alone = "not take" in error.format_message()
        name = error.option_name
        return f"{name} found a value; allowed: {name} alone" if alone else f"{name} found no value; write {name} VALUE"
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return _sentence(error.format_message())
    path, params = ctx.command_path, ctx.command.params
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return f"{path}: {error.option_name} is no option; {_options(params, error.option_name)}"
    if kind == "MissingParameter":
        param = error.param
        name = param.metavar or param.opts[0].upper() if param.param_type_name == "argument" else param.opts[0]
        return f"{path}: {name} is missing: {_lower(param.help)} {_example(ctx)}".rstrip()
    if extra := re.search(r"extra argument(?:\(s\)|s)? \((.*)\)", error.format_message()):
        takes = [p.metavar or p.name.upper() for p in params if p.param_type_name == "argument"]
        allowed = " ".join(takes) or "no argument"
        return f"{path}: found {extra[1]!r} too; allowed: {allowed}. {_example(ctx)}".rstrip()
    return f"{path}: {_sentence(error.format_message())}"


def _options(params, typed: str) -> str:
    names = [name for param in params if param.param_type_name == "option" for name in param.opts]
    names = [*names, "--help"]
    bare = {name.lstrip("-"): name for name in names}  # the dashes, which all have, make none alike
    near = did_you_mean(typed.lstrip("-"), bare)
    for word, name in bare.items():
        near = near.replace(f"'{word}'", f"'{name}'")
    return f"allowed: {', '.join(names)}.{near}"


def _example(ctx) -> str:
    return ctx.command.epilog or f"Type {ctx.command_path} --help"


def _lower(text: str) -> str:
    """Return a help's first sentence as the rest of one."""
    text = re.sub(r"\s*\[default.*", "", text.strip()).rstrip(".")
    return f"{text[0].lower()}{text[1:]}." if text[1:2].islower() or text[1:2] == " " else f"{text}."


def _sentence(text: str) -> str:
    return text.strip().rstrip(".")
