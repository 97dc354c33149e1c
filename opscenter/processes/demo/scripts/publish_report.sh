# Writes the day's report.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
printf 'Sales of %s\n  orders  %d\n' "${bizdate}" "$orders" > report.txt
sleep 0.5
cat report.txt
echo "Report published"
