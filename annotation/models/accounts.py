"""Who can sign in."""

from datetime import UTC, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower, Now


class UserManager(BaseUserManager["User"]):
    """Makes accounts; e-mail addresses are compared without case."""

    def create_user(self, email: str, password: str | None = None) -> "User":
        """An account; without a password it can be entered by a sign-in link only."""
        user = self.model(email=email.strip().lower())
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        """The account of an e-mail address, whatever its case."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """Someone who can sign in."""

    email = models.EmailField(max_length=254, unique=True)
    is_active = models.BooleanField(default=True)
    is_site_admin = models.BooleanField(default=False)
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="A name of the IANA database."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="an_email_address_has_one_account"
            )
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def zone(self) -> tzinfo:
        """Where they read times; UTC if this machine does not know their zone."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return UTC


class Session(AbstractBaseSession):
    """A browser that is signed in, or on its way there; see `annotation.sessions`."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE)


class SignInLink(models.Model):
    """A link that signs its bearer in once. Only a hash of its token is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    token_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link of {self.user}"
