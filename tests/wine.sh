#!/usr/bin/env bash
# Makes as much of Wine as runs the tools for Windows, from Debian's packages for
# amd64, in the directory DIR, which must not exist. All of Wine is ten times as large.
#
#   tests/wine.sh DIR
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dir=$work/wine to=$(realpath -m "$1")
cd "$(dirname "$0")"
mkdir "$work/deb" "$dir"
(cd "$work/deb" && apt-get -q -o APT::Sandbox::User=root download libwine:amd64 wine64:amd64 libz-mingw-w64)

wine=lib/x86_64-linux-gnu/wine
dlls=(advapi32 apisetschema bcrypt combase crypt32 cryptnet dnsapi gdi32 imm32 iphlpapi kernel32 kernelbase msvcrt mswsock
  nsi ntdll ole32 powrprof rpcrt4 rsaenh sechost shcore shell32 shlwapi ucrtbase user32 userenv version win32u ws2_32)
dlls=("${dlls[@]/%/.dll}")

# unpack PACKAGE FILE…: unpacks files below /usr.
unpack() {
  local package=$1
  shift
  dpkg-deb --fsys-tarfile "$work/deb/$package"_*.deb | tar -C "$dir" -x --strip-components=2 "${@/#/./usr/}"
}
unpack wine64 lib/wine
mv "$dir/lib/wine/wineserver64" "$dir/lib/wine/wineserver"
unpack libwine share/wine/nls $wine/x86_64-unix/{libwine.so.1,libwine.so.1.0,bcrypt.so,crypt32.so,dnsapi.so,ntdll.so,win32u.so,ws2_32.so} \
  $wine/x86_64-windows/cmd.exe "${dlls[@]/#/$wine/x86_64-windows/}"
unpack libz-mingw-w64 x86_64-w64-mingw32/lib/zlib1.dll
mv "$dir/x86_64-w64-mingw32/lib/zlib1.dll" "$dir/$wine/x86_64-windows"
rm -r "$dir/x86_64-w64-mingw32"

# Go programs need one function that Windows has in a library of its own, and
# Wine 8 under another name.
cat >"$work/prng.def" <<'DEF'
LIBRARY bcryptprimitives
EXPORTS
ProcessPrng = advapi32.SystemFunction036
DEF
ld -m i386pep --dll -o "$dir/$wine/x86_64-windows/bcryptprimitives.dll" "$work/prng.def"
CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -ldflags '-s -w' -o "$dir/$wine/x86_64-windows/wineboot.exe" ./wineboot

# The drives: C: with Windows, and Z: with this machine's files.
mkdir -p "$dir/prefix/drive_c/windows" "$dir/prefix/dosdevices"
cp -rl "$dir/$wine/x86_64-windows" "$dir/prefix/drive_c/windows/system32"
ln -s ../drive_c "$dir/prefix/dosdevices/c:"
ln -s / "$dir/prefix/dosdevices/z:"
echo disable >"$dir/prefix/.update-timestamp"
mv "$dir" "$to"
