# Adds up one day's orders.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
echo "Adding up $orders orders of ${bizdate}"
sleep 1
seq "$orders" | awk '
  { cents += ($1 * 37 + ${bizdate}) % 9000 + 100 }
  END { printf "fact_sales: %d rows, revenue %d.%02d\n", NR, cents / 100, cents % 100 }'
