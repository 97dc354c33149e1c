# Seals the export, so that nobody changes it unseen.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
sleep 0.3
echo "Seal of the $orders lines of ${bizdate}: $(printf '%s %s' "${bizdate}" "$orders" | sha256sum | cut -c 1-16)"
