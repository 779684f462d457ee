"""The orders' URLs."""

from __future__ import annotations

from django.urls import path

from orders import views

urlpatterns = [
    path("orders", views.collection),
    path("orders/<int:order_id>", views.read),
    path("orders/<int:order_id>/pay", views.pay),
]
