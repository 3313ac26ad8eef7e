"""What the admin's pages have in common: rows are read, and changed by verbs only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy

from project.errors import SyncError

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    BaseAdmin = admin.ModelAdmin[Any]
else:
    # Generic for the type checker only, which does not know the theme either.
    from unfold.admin import ModelAdmin as BaseAdmin

# Rows of a list that one verb is done to at most; more is a matter for the API.
MOST_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that operators do to a row. The service behind it audits it.

    `act` is called with the row and the operator's name. `question` is asked
    before, where the verb cannot simply be undone. `fits` says for which rows it is
    offered; the service decides whether it is allowed.
    """

    name: str
    label: StrOrPromise
    act: Callable[[Any, str], None]
    icon: str
    question: StrOrPromise = ""
    is_dangerous: bool = False
    fits: Callable[[Any], bool] = bool


class ReadOnly(BaseAdmin):
    """Rows change through services only, so that every change is audited."""

    show_full_result_count = False
    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = False
    verbs: Sequence[Verb] = ()
    change_form_outer_before_template = "waystation/verbs.html"
    question_template = "waystation/question.html"

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        _translate_names(model)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        # Verbs need the permission; the form is kept closed by this.
        return super().has_change_permission(request, obj) if obj is None else False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = {**super().get_actions(request)}
        if self.has_change_permission(request):
            for verb in self.verbs:
                run = partial(_run_action, verb=verb)
                actions[verb.name] = (run, verb.name, verb.label)
        return actions

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_verb"
        view = self.admin_site.admin_view(self.verb_view)
        return [
            path("<path:object_id>/verb/<str:verb>/", view, name=name),
            *super().get_urls(),
        ]

    def verb_view(
        self, request: HttpRequest, object_id: str, verb: str
    ) -> HttpResponse:
        """GET asks the verb's question; POST does it and goes back."""
        row = self.get_object(request, object_id)
        asked = next((one for one in self.verbs if one.name == verb), None)
        if row is None or asked is None:
            raise Http404
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST" or self._must_ask(request, asked):
            return _question(self, request, asked, [row])
        do(request, asked, [row])
        return HttpResponseRedirect(_way_back(request) or self.page_of(row))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        offered = self.offered(request, row) if row else []
        extra = {"verbs": offered, "row": row, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def offered(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        """The verbs that fit the row, for `waystation/verbs.html`."""
        if not self.has_change_permission(request):
            return []
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_verb"
        return [
            {"verb": verb, "url": reverse(name, args=[row.pk, verb.name])}
            for verb in self.verbs
            if verb.fits(row)
        ]

    def foreseen(self, verb: Verb, rows: Sequence[Any]) -> Mapping[str, Any]:
        """What the question's template is told of the consequences."""
        return {}

    def page_of(self, row: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[row.pk])

    def _must_ask(self, request: HttpRequest, verb: Verb) -> bool:
        return bool(verb.question) and "confirmed" not in request.POST


def _translate_names(model: type[Model]) -> None:
    """Let names that follow from the code be translated like any other text.

    Only the admin shows them, and what is set here stays out of migrations.
    """
    meta = model._meta
    meta.verbose_name = gettext_lazy(str(meta.verbose_name))
    meta.verbose_name_plural = gettext_lazy(str(meta.verbose_name_plural))
    meta.app_config.verbose_name = gettext_lazy(str(meta.app_config.verbose_name))
    for field in meta.fields:
        field.verbose_name = gettext_lazy(str(field.verbose_name))


def do(request: HttpRequest, verb: Verb, rows: Sequence[Any]) -> None:
    """Do the verb to each row, and tell the operator what became of it."""
    for row in rows:
        try:
            verb.act(row, request.user.get_username())
        except SyncError as error:
            messages.warning(request, f"{row}: {error}")
        else:
            messages.success(request, f"{row}: {verb.label}")


def _run_action(
    model_admin: ReadOnly, request: HttpRequest, rows: QuerySet[Any], *, verb: Verb
) -> HttpResponse | None:
    chosen = list(rows[: MOST_ROWS + 1])
    if len(chosen) > MOST_ROWS:
        text = gettext_lazy("Choose at most %(most)d rows.") % {"most": MOST_ROWS}
        messages.warning(request, text)
        return None
    if model_admin._must_ask(request, verb):
        return _question(model_admin, request, verb, chosen, action=verb.name)
    do(request, verb, chosen)
    return None


def _question(
    model_admin: ReadOnly,
    request: HttpRequest,
    verb: Verb,
    rows: Sequence[Any],
    *,
    action: str = "",
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": verb.label,
        "opts": model_admin.opts,
        "verb": verb,
        "rows": rows,
        "action": action,
        "next": _way_back(request),
        **model_admin.foreseen(verb, rows),
    }
    return TemplateResponse(request, model_admin.question_template, context)


def _way_back(request: HttpRequest) -> str:
    """Where the operator came from, if that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else ""
