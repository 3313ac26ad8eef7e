"""The operators' own accounts, in the admin's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User

from provisioning.admin.reading import BaseAdmin

if TYPE_CHECKING:
    from django.contrib.auth.forms import (
        AdminPasswordChangeForm,
        UserCreationForm,
    )
    from django.contrib.auth.forms import UserChangeForm as _UserChangeForm

    _DjangoUserAdmin = DjangoUserAdmin[User]
    UserChangeForm = _UserChangeForm[User]
else:
    _DjangoUserAdmin = DjangoUserAdmin
    from unfold.forms import (
        AdminPasswordChangeForm,
        UserChangeForm,
        UserCreationForm,
    )

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(_DjangoUserAdmin, BaseAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, BaseAdmin):
    """Groups of operators."""
