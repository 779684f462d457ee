"""The orders' URLs, included below `/orders`."""

from __future__ import annotations

from django.urls import path

from orders import views

urlpatterns = [
    path("", views.collection),
    path("/<int:order_id>", views.read),
    path("/<int:order_id>/pay", views.pay),
]
