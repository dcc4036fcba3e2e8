"""How people sign in, as far as it is the same on every machine: passwords, second
factors, and how often one may guess. `settings` takes all of it over.
"""

from typing import Any

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_VALIDATORS = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"{_VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATORS}.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "annotation.accounts.InvitedOnly"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True  # as long as SESSION_COOKIE_AGE, without asking
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Rankwell: "
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
# Wrong passwords are counted by axes, in the database, not by allauth as well.
ACCOUNT_RATE_LIMITS = {"login": "", "login_failed": ""}
SOCIALACCOUNT_ADAPTER = "annotation.single_sign_on.InvitedOnly"
MFA_ADAPTER = "annotation.second_factor.AppNamedAfterSite"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # half minutes that a phone's clock may be wrong
MFA_FORMS = {
    "authenticate": "annotation.second_factor.CodeForm",
    "reauthenticate": "annotation.second_factor.CodeAgainForm",
}
AXES_HANDLER = "annotation.throttling.FailureCounter"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
# An attempt during the lockout does not prolong it: the page names the time.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "annotation.throttling.attempted_email"
AXES_CLIENT_IP_CALLABLE = "annotation.throttling.counted_address"
AXES_LOCKOUT_CALLABLE = "annotation.throttling.locked_out"
AXES_SENSITIVE_PARAMETERS = ["login", "csrfmiddlewaretoken", "next"]
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False  # no banner in front of a command's output
