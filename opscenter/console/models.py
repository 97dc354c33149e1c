"""What the console itself remembers: failed sign-ins, in the database because several web processes count them."""

from django.db import models
from django.db.models.functions import Now


class SignInAttempt(models.Model):
    """A sign-in that failed, or is being looked at. Kept for minutes; the audit trail keeps those of real users."""

    username = models.CharField(max_length=63)
    address = models.CharField(max_length=45)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["username", "address", "at"], name="sign_in_pair"),  # attempts on one account
            models.Index(fields=["address", "at"], name="sign_in_address"),  # attempts from one place
            models.Index(fields=["at"], name="sign_in_age"),  # swept with each failure
        ]
